import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';

/** Compares hashes of one length, so that the time taken tells nothing of the secret. */
export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

/**
 * True for a change that another site asked for in the user's name: browsers send the login along with any request, and
 * say where it came from. What is no browser says nothing.
 *
 * `sec-fetch-site` alone decides where it tells of a site: no page can forge it, and the browser compared what it saw
 * itself, whatever `host` a proxy passes on. `none` tells of no site (an extension may ask so, or the address bar), and
 * browsers leave it out over plain http to another machine: then `origin` must be ours.
 */
export function isForeignChange(request: Pick<FastifyRequest, 'method' | 'headers'>): boolean {
  if (request.method === 'GET' || request.method === 'HEAD') return false;
  const { origin, host, 'sec-fetch-site': site } = request.headers;
  if (site !== undefined && site !== 'none') return site !== 'same-origin';
  return origin !== undefined && !isOriginOf(origin, host);
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
