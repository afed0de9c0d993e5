import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App } from '../app.ts';

const PAGE = createRequire(import.meta.url).resolve('@shoal/playground/index.html');
const ASSETS = join(dirname(PAGE), 'assets');

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The page may load its own script, style and picture, talk to its own server, and nothing else. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface StaticFile {
  type: string;
  plain: Buffer;
  gzip: Buffer;
  etag: string;
  cacheControl: string;
}

/** A page to try the service in a browser, and to see its batches: what `apps/playground` was built into. */
export function playgroundRoutes(app: App, options: { boardUrl: string }): void {
  const page = readFileSync(PAGE, 'utf8').replace('</head>', `${boardLink(options.boardUrl)}</head>`);
  const files = new Map([['/', staticFile('.html', Buffer.from(page), 'no-cache')]]);
  for (const name of readdirSync(ASSETS)) {
    const content = readFileSync(join(ASSETS, name));
    // Their names change with their contents.
    files.set(`/assets/${name}`, staticFile(extname(name), content, 'public, max-age=31536000, immutable'));
  }
  for (const [path, file] of files) {
    app.get(path, { schema: { hide: true } }, async (request, reply) => send(file, request, reply));
  }
}

function boardLink(url: string): string {
  return url === '' ? '' : `<link rel="board" href="${new URL(url).href.replaceAll('&', '&amp;')}" />`;
}

function staticFile(extension: string, plain: Buffer, cacheControl: string): StaticFile {
  const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 16)}"`;
  const type = TYPES[extension] ?? 'application/octet-stream';
  return { type, plain, gzip: gzipSync(plain, { level: 9 }), etag, cacheControl };
}

function send(file: StaticFile, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.headers({ etag: file.etag, 'cache-control': file.cacheControl, vary: 'accept-encoding' });
  reply.headers({ 'content-security-policy': POLICY, 'referrer-policy': 'no-referrer' });
  if (request.headers['if-none-match'] === file.etag) return reply.code(304).send();
  reply.type(file.type);
  const zipped = /\bgzip\b(?!;\s*q=0(?:\.0*)?(?:,|$))/.test(String(request.headers['accept-encoding'] ?? ''));
  return zipped ? reply.header('content-encoding', 'gzip').send(file.gzip) : reply.send(file.plain);
}
