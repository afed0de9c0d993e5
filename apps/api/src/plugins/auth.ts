import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiKey } from '@shoal/config';
import { ShoalError } from '@shoal/protocol';
import type { App } from '../app.ts';
import { routePath } from './route-path.ts';

/** Asks for a key on every `/v1/` route, when keys are configured, and notes whose it is. */
export function installAuth(app: App, keys: readonly ApiKey[]): void {
  app.decorateRequest('tenant', undefined);
  if (keys.length === 0) return;
  const known = keys.map(({ sha256, tenant }) => ({ hash: Buffer.from(sha256, 'hex'), tenant }));
  app.addHook('onRequest', (request, _reply, done) => {
    // What is thrown here, fastify answers.
    if (routePath(request).startsWith('/v1/')) request.tenant = tenantOf(known, bearer(request.headers.authorization));
    done();
  });
}

function bearer(header: string | undefined): string {
  const key = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  if (key !== undefined) return key;
  throw new ShoalError('invalid_api_key', 'send an API key as "Authorization: Bearer <key>"');
}

/** Compares hashes of one length with every known key, so that the time taken tells nothing of any. */
function tenantOf(known: readonly { hash: Buffer; tenant: string }[], key: string): string {
  const hash = createHash('sha256').update(key).digest();
  let tenant: string | undefined;
  for (const candidate of known) if (timingSafeEqual(candidate.hash, hash)) tenant = candidate.tenant;
  if (tenant !== undefined) return tenant;
  throw new ShoalError('invalid_api_key', 'this API key is not known here; check it, or ask for one');
}
