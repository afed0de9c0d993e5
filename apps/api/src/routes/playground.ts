import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { App } from '../app.ts';

const PUBLIC = join(import.meta.dirname, '../../public');

const FILES = [
  { path: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/playground.css', file: 'playground.css', type: 'text/css; charset=utf-8' },
  { path: '/picture.js', file: 'picture.js', type: 'text/javascript; charset=utf-8' },
  { path: '/playground.js', file: 'playground.js', type: 'text/javascript; charset=utf-8' },
] as const;

/** The page may load its own script and style, talk to its own server, and nothing else. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** A page to try the service in a browser. */
export function playgroundRoutes(app: App): void {
  for (const { path, file, type } of FILES) {
    const content = readFileSync(join(PUBLIC, file));
    const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 16)}"`;
    app.get(path, { schema: { hide: true } }, async (request, reply) => {
      reply.headers({ etag, 'cache-control': 'no-cache', 'referrer-policy': 'no-referrer' });
      reply.header('content-security-policy', POLICY);
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type(type).send(content);
    });
  }
}
