import type { FastifyRequest } from 'fastify';

/**
 * The path by which a request is guarded: the pattern of the route that answers it. Not the URL as it was sent, since the
 * router decodes that (`/%761/jobs` is `/v1/jobs`) and cuts a host off it; only what no route answers has nothing else.
 */
export function routePath({ routeOptions, url }: FastifyRequest): string {
  return routeOptions.url ?? url;
}
