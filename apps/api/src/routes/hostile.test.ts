import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collect, exchange, rawRequest, statusOf } from '../testing/raw-http.ts';
import { testServer } from '../testing/test-server.ts';

// Whatever comes down the wire: the right answer, and the next caller is served.

const server = testServer({ deps: { arrivalMs: 300 } });
const { app, model } = server;
let port = 0;

beforeAll(async () => {
  await app.listen({ port: 0, host: '127.0.0.1' });
  port = (app.server.address() as AddressInfo).port;
});
afterAll(() => server.close(0));

const JSON_TYPE = 'content-type: application/json';
const good = JSON.stringify({ model: 'minnow', prompt: 'hi' });
const post = (body: string, ...headers: string[]): string =>
  rawRequest('POST', '/v1/completions', [JSON_TYPE, `content-length: ${Buffer.byteLength(body)}`, ...headers], body);

async function expectStillServing(): Promise<void> {
  expect(statusOf(await exchange(port, post(good)))).toBe(200);
}

test.each<[what: string, bytes: string | Buffer, status: number]>([
  ['a line that is not HTTP', 'HELO shoal\r\n\r\n', 400],
  ['TLS to the plain port', Buffer.from('160301020001000001fc0303', 'hex'), 400],
  ['a NUL byte in the path', rawRequest('GET', '/\0'), 400],
  ['a header without a name', rawRequest('GET', '/health/live', [': x']), 400],
  ['a header with a NUL byte', rawRequest('GET', '/health/live', ['x: a\0b']), 400],
  ['a folded header', rawRequest('GET', '/health/live', ['x: a', ' b']), 400],
  ['an unknown method', rawRequest('BREW', '/v1/completions'), 400],
  ['an unknown version', 'GET / HTTP/9.9\r\nhost: x\r\n\r\n', 400],
  ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  [
    'two lengths',
    rawRequest('POST', '/v1/completions', [JSON_TYPE, 'content-length: 5', 'content-length: 6'], '{}'),
    400,
  ],
  ['a negative length', rawRequest('POST', '/v1/completions', [JSON_TYPE, 'content-length: -5']), 400],
  ['a length that is a word', rawRequest('POST', '/v1/completions', [JSON_TYPE, 'content-length: many']), 400],
  [
    'a length and chunks (smuggling)',
    rawRequest('POST', '/v1/completions', [JSON_TYPE, 'content-length: 4', 'transfer-encoding: chunked'], '0\r\n\r\n'),
    400,
  ],
  [
    'chunks that are none',
    rawRequest('POST', '/v1/completions', [JSON_TYPE, 'transfer-encoding: chunked'], 'zz\r\n'),
    400,
  ],
  [
    'many headers',
    rawRequest(
      'GET',
      '/',
      Array.from({ length: 3000 }, (_, at) => `h${at}: ${'x'.repeat(20)}`),
    ),
    431,
  ],
  ['a long path', rawRequest('GET', `/${'x'.repeat(70_000)}`), 431],
  ['a long header', rawRequest('GET', '/', [`x: ${'x'.repeat(70_000)}`]), 431],
  ['a long key', rawRequest('GET', '/v1/models', [`authorization: Bearer ${'x'.repeat(10_000)}`]), 200],
  [
    'an announced terabyte',
    rawRequest('POST', '/v1/completions', [JSON_TYPE, 'content-length: 1099511627776'], '{'),
    413,
  ],
  [
    'a length beyond all numbers',
    rawRequest('POST', '/v1/completions', [JSON_TYPE, `content-length: ${'9'.repeat(40)}`]),
    400,
  ],
  ['a body that never comes', rawRequest('POST', '/v1/completions', [JSON_TYPE, 'content-length: 10']), 408],
  [
    'a body that stops half-way',
    rawRequest('POST', '/v1/completions', [JSON_TYPE, 'content-length: 10'], '{"mod'),
    408,
  ],
  ['headers that stop half-way', 'GET /health/live HTTP/1.1\r\nhost: sh', 408],
])('%s', async (_, bytes, status) => {
  const response = await exchange(port, bytes);
  expect(statusOf(response)).toBe(status);
  if (status >= 400) expect(JSON.parse(response.slice(response.indexOf('\r\n\r\n')))).toMatchObject({ error: {} });
  // Clients send again what is `unavailable`: that is right where nothing of a request was looked at.
  if (status === 408) expect(response).toContain('"code":"unavailable"');
  await expectStillServing();
});

test.each<[method: string, path: string, status: number]>([
  ['GET', '/v1/completions', 404],
  ['PUT', '/v1/completions', 404],
  ['PATCH', '/v1/jobs', 404],
  ['OPTIONS', '/v1/completions', 404],
  ['TRACE', '/v1/completions', 404],
  ['HEAD', '/health/live', 200],
  ['GET', '/..%2f..%2fpackage.json', 404],
  ['GET', '/../../package.json', 404],
  ['GET', '/playground.js/../../package.json', 404],
  ['GET', '/docs/static/..%2f..%2fpackage.json', 404],
  ['GET', '/%00', 404],
  ['GET', '/%ff', 400],
  ['GET', '//v1//models', 404],
  ['GET', '/V1/MODELS', 404],
  ['GET', '/v1/models?model=../../etc/passwd', 200],
  ['GET', `/v1/models/${'x'.repeat(300)}`, 400],
  ['GET', '/v1/models/..%2f..%2fetc', 404],
  ['GET', '/v1/jobs/%2e%2e', 404],
  ['GET', '/v1/jobs/r1%00', 404],
  ['GET', '/v1/jobs/%7Btag%7D', 404],
  ['DELETE', '/v1/jobs/*', 404],
  ['GET', 'http://elsewhere.invalid/health/live', 200],
])('%s %s', async (method, path, status) => {
  const response = await exchange(port, rawRequest(method, path));
  expect(statusOf(response)).toBe(status);
  if (status >= 400) expect(response).toContain('"error":{"message":');
});

test.each<[what: string, body: string | Buffer, status: number]>([
  ['a prototype', '{"__proto__":{"model":"minnow","prompt":"hi"}}', 400],
  ['a constructor', '{"model":"minnow","prompt":"hi","constructor":{"prototype":{"admin":true}}}', 200],
  ['a field twice: the last counts', '{"model":"shark","model":"minnow","prompt":"hi"}', 200],
  ['a number beyond all numbers', '{"model":"minnow","prompt":"hi","temperature":1e999}', 400],
  ['NaN', '{"model":"minnow","prompt":"hi","temperature":NaN}', 400],
  ['minus zero', '{"model":"minnow","prompt":"hi","temperature":-0}', 200],
  ['a comment', '{"model":"minnow",/* hi */"prompt":"hi"}', 400],
  ['a trailing comma', '{"model":"minnow","prompt":"hi",}', 400],
  ['single quotes', "{'model':'minnow','prompt':'hi'}", 400],
  ['a byte-order mark', `\ufeff${good}`, 200],
  ['UTF-16', Buffer.from(good, 'utf16le'), 400],
  ['overlong UTF-8', Buffer.from('7b22c0af22', 'hex'), 400],
  ['half a surrogate pair as UTF-8', Buffer.from('{"model":"minnow","prompt":"\xed\xa0\x80"}', 'latin1'), 400],
  ['NUL in the prompt', '{"model":"minnow","prompt":"a\\u0000b"}', 200],
  ['a raw control character', '{"model":"minnow","prompt":"a\nb"}', 400],
  ['a hundred thousand brackets', '['.repeat(100_000), 400],
  [
    'a hundred thousand levels',
    `{"model":"minnow","prompt":"hi","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    200,
  ],
  ['a hundred thousand fields', `{${Array.from({ length: 50_000 }, (_, at) => `"f${at}":0`).join(',')}}`, 400],
  ['two hundred thousand token ids', `{"model":"minnow","prompt":[${'1,'.repeat(200_000)}1]}`, 400],
  ['a number with a hundred thousand digits', `{"model":"minnow","prompt":"hi","seed":${'9'.repeat(100_000)}}`, 400],
  ['two documents', `${good}${good}`, 400],
  ['nothing but white space', ' \n\t ', 400],
])('JSON: %s', async (_, body, status) => {
  const head = ['POST /v1/completions HTTP/1.1', 'host: x', 'connection: close', JSON_TYPE];
  const bytes = Buffer.from(body);
  const request = Buffer.concat([
    Buffer.from(`${head.join('\r\n')}\r\ncontent-length: ${bytes.length}\r\n\r\n`),
    bytes,
  ]);
  expect(statusOf(await exchange(port, request))).toBe(status);
});

test('a request without a host is refused by the HTTP parser itself', async () => {
  expect(statusOf(await exchange(port, 'GET /health/live HTTP/1.1\r\n\r\n'))).toBe(400);
});

test('a body in a thousand chunks of one byte is read', async () => {
  const chunks = [...good].map((character) => `1\r\n${character}\r\n`).join('');
  const head = rawRequest('POST', '/v1/completions', [JSON_TYPE, 'transfer-encoding: chunked']);
  expect(statusOf(await exchange(port, `${head}${chunks}0\r\n\r\n`))).toBe(200);
});

test('a chunked body has the same bound as any other', async () => {
  const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`;
  const head = rawRequest('POST', '/v1/completions', [JSON_TYPE, 'transfer-encoding: chunked']);
  expect(statusOf(await exchange(port, `${head}${chunk.repeat(20)}`))).toBe(413);
});

test('expect: 100-continue is answered before the body', async () => {
  const response = await exchange(port, post(good, 'expect: 100-continue'));
  expect(response).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
});

test('an upgrade is not granted', async () => {
  const response = await exchange(port, rawRequest('GET', '/health/live', ['upgrade: websocket']));
  expect(statusOf(response)).toBe(200);
});

test('requests sent one after the other without waiting are all answered, in order', async () => {
  const one = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
  const response = await exchange(port, one('/health/live') + one('/v1/nothing') + rawRequest('GET', '/health/ready'));
  expect(response.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200']);
});

test('a caller who stops sending, but still listens, is answered', async () => {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const received = collect(socket);
  socket.end(post(good));
  await once(socket, 'close');
  expect(statusOf(received())).toBe(200);
});

test('two hundred callers who say nothing keep nobody else waiting, and are sent away', async () => {
  const idle = Array.from({ length: 200 }, () => connect(port, '127.0.0.1'));
  const closed = idle.map((socket) => {
    collect(socket);
    return once(socket, 'close');
  });
  for (const socket of idle) socket.write('GET / HTTP/1.1\r\n');
  await expectStillServing();
  await Promise.all(closed);
});

test('callers who reset their connections at every stage harm nobody', async () => {
  const request = post(JSON.stringify({ model: 'minnow', prompt: 'hi', stream: true }));
  for (let bytes = 1; bytes < request.length; bytes += 7) {
    const socket = connect(port, '127.0.0.1');
    collect(socket);
    socket.write(request.slice(0, bytes), () => socket.resetAndDestroy());
    await once(socket, 'close');
  }
  await expectStillServing();
  expect(model.listening).toBe(0);
});

test('two keys in one request: neither is believed', async () => {
  const locked = testServer({ env: { API_KEYS: 'acme:acme-key-1' } });
  await locked.app.listen({ port: 0, host: '127.0.0.1' });
  const { port: lockedPort } = locked.app.server.address() as AddressInfo;
  const both = ['authorization: Bearer wrong-key-1', 'authorization: Bearer acme-key-1'];
  expect(statusOf(await exchange(lockedPort, rawRequest('GET', '/v1/models', both)))).toBe(401);
  await locked.close(0);
});
