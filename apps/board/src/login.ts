import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';

/** Compares hashes of one length, so that the time taken tells nothing of the secret. */
export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

/**
 * True for a change that another site asked for in the user's name: browsers send the login along with any request, and
 * say where it came from (`origin`, and newer ones `sec-fetch-site`). What is no browser says neither.
 */
export function isForeignChange(request: Pick<FastifyRequest, 'method' | 'headers'>): boolean {
  if (request.method === 'GET' || request.method === 'HEAD') return false;
  const { origin, host } = request.headers;
  if (origin !== undefined && !isOriginOf(origin, host)) return true;
  const site = request.headers['sec-fetch-site'];
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

/** Behind a proxy the scheme may differ; the name and port that the browser asked for do not. */
function isOriginOf(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: asking } = new URL(origin);
  // Parsed alike, so that a default port is left out on both sides.
  return URL.canParse(`${protocol}//${host}`) && asking === new URL(`${protocol}//${host}`).host;
}

function digest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
