import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';

/** Compares hashes of one length, so that the time taken tells nothing of the secret. */
export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

/**
 * True for a change that another site asked for in the user's name: browsers send the login along with any request, and
 * say where it came from.
 */
export function isForeignChange(request: Pick<FastifyRequest, 'method' | 'headers'>): boolean {
  if (request.method === 'GET' || request.method === 'HEAD') return false;
  const site = request.headers['sec-fetch-site'];
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

function digest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
