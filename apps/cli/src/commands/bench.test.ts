import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { shoal } from '../program.ts';

let server: Server;
let url: string;
let folder: string;
/** Bodies that were asked, and whether an answer of others would have done. */
let asked: {
  prompt: string;
  stream: boolean;
  path: string | undefined;
  cacheControl: string | undefined;
  authorization: string | undefined;
  [option: string]: unknown;
}[] = [];
let most = 0;

/** Answers with two tokens; refuses the prompt `full`, and breaks `broken` off with an error in the stream. */
beforeAll(async () => {
  let inside = 0;
  server = createServer(async (request, response) => {
    inside += 1;
    most = Math.max(most, inside);
    let text = '';
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text);
    const { 'cache-control': cacheControl, authorization } = request.headers;
    asked.push({ ...body, path: request.url, cacheControl, authorization });
    inside -= 1;
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    const chunk = (part: object): string => `data: ${JSON.stringify(part)}\n\n`;
    if (body.prompt === 'full') {
      response.writeHead(429).end(JSON.stringify({ error: { message: 'try again', code: 'queue_full' } }));
    } else if (body.prompt === 'broken') {
      response.end(chunk({ error: { message: 'lost', code: 'worker_lost' } }));
    } else if (body.stream) {
      const piece = (word: string) => chunk({ choices: [{ text: word }], usage: null });
      response.end(`: keep-alive\n\n${piece('a')}${piece('b')}${chunk({ choices: [], usage })}data: [DONE]\n\n`);
    } else {
      response.end(JSON.stringify({ choices: [{ text: 'ab' }], usage }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), 'shoal-cli-bench-'));
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  asked = [];
  most = 0;
});

/** Its clock goes on by a millisecond whenever it is looked at. */
async function bench(args: string[], { tty = false, signal = new AbortController().signal } = {}) {
  let out = '';
  let err = '';
  let now = 0;
  const code = await shoal(['bench', ...args], {
    stdin: Object.assign(Readable.from([]), { isTTY: true }),
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text), isTTY: tty },
    env: { SHOAL_URL: `${url}/`, SHOAL_MODEL: 'm' },
    signal,
    clock: () => {
      now += 1;
      return now;
    },
  });
  return { code, out, err };
}

it('sends as many as were asked for, so many at once, and tells what came', async () => {
  const { code, out, err } = await bench(['-n', '5', '-c', '2', '--max-tokens', '7']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/^5 answered, 0 failed in 0\.\d\d s\n\d+\.\d\d requests\/s, \d+\.\d tokens\/s\n/);
  expect(out).toMatch(/first token +\d+\.\d ms +\d+\.\d ms +\d+\.\d ms\ninter-token +\d+\.\d ms/);
  expect(most).toBeLessThanOrEqual(2);
  expect(asked).toHaveLength(5);
  expect(asked[0]).toMatchObject({ model: 'm', prompt: 'Once upon a time', max_tokens: 7, temperature: 0 });
  expect(asked[0]).toMatchObject({ stream: true, stream_options: { include_usage: true }, cacheControl: 'no-store' });
});

it('takes prompts in turn, and asks for whole answers', async () => {
  const file = join(folder, 'prompts.txt');
  await writeFile(file, 'b\n\nc\n');
  const { code, out } = await bench([
    '-n',
    '4',
    '-c',
    '1',
    '--prompt',
    'a',
    '--prompts',
    file,
    '--no-stream',
    '--json',
  ]);
  expect(code).toBe(0);
  expect(asked.map(({ prompt }) => prompt)).toEqual(['a', 'b', 'c', 'a']);
  expect(asked[0]).not.toHaveProperty('stream_options');
  const none = { p50: null, p95: null, p99: null };
  expect(JSON.parse(out)).toMatchObject({ requests: 4, completed: 4, firstTokenMs: none, interTokenMs: none });
  expect(JSON.parse(out).tokensPerSecond).toBeCloseTo(2 * JSON.parse(out).requestsPerSecond, 9);
});

it('sends at a rate', async () => {
  expect(await bench(['-n', '3', '--rate', '1000'])).toMatchObject({ code: 0 });
  expect(asked).toHaveLength(3);
});

it('goes on after failures, counts them by code, and exits with 1', async () => {
  const args = ['-n', '4', '-c', '1', '--prompt', 'full', '--prompt', 'a', '--prompt', 'broken', '--prompt', 'b'];
  const { code, out } = await bench([...args, '--json']);
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ completed: 2, failed: 2, errors: { queue_full: 1, worker_lost: 1 } });
  expect((await bench(args)).out).toContain('2 answered, 2 failed');
});

it('says that nobody answers', async () => {
  const { code, out } = await bench(['-n', '1', '--url', 'http://127.0.0.1:1', '--json']);
  expect({ code, errors: JSON.parse(out).errors }).toEqual({ code: 1, errors: { unavailable: 1 } });
});

it('tells what was measured when it is stopped', async () => {
  const { code, out } = await bench(['-n', '9', '--json'], { signal: AbortSignal.abort() });
  expect({ code, requests: JSON.parse(out).requests }).toEqual({ code: 1, requests: 0 });
});

it('shows progress on a terminal', async () => {
  expect((await bench(['-n', '2'], { tty: true })).err).toMatch(/\[#+\] 2\/2.*tok\/s/);
  const args = ['-n', '3', '--prompt', 'a', '--prompt', 'full'];
  expect((await bench(args, { tty: true })).err).toMatch(/\[#+\] 3\/3 {2}1 failed/);
});

it('takes the same URLs as the other commands: with /v1, and with a user and password', async () => {
  expect((await bench(['-n', '1', '--url', `${url.replace('//', '//me:hunter2@')}/v1/`])).code).toBe(0);
  const authorization = `Basic ${Buffer.from('me:hunter2').toString('base64')}`;
  expect(asked).toMatchObject([{ path: '/v1/completions', authorization }]);
  expect((await bench(['-n', '1', '--api-key', 'k'])).code).toBe(0);
  expect(asked[1]).toMatchObject({ path: '/v1/completions', authorization: 'Bearer k' });
  const both = await bench(['--url', url.replace('//', '//me:hunter2@'), '--api-key', 'k']);
  expect(both).toMatchObject({ code: 2, err: expect.stringContaining('take one away') });
  expect(both.err).not.toContain('hunter2');
});

it.each([
  [['--requests', '0']],
  [['--concurrency', '1.5']],
  [['--rate', '-1']],
  [['--max-tokens', 'many']],
  [['--prompts', '/nowhere/at-all']],
])('%j is a mistake of the caller: 2', async (args) => {
  const { code, err } = await bench(args);
  expect(code).toBe(2);
  expect(err).not.toBe('');
  expect(asked).toEqual([]);
});

it('explains itself', async () => {
  const { code, out } = await bench(['--help']);
  expect(code).toBe(0);
  for (const word of ['--requests', '--rate', '--no-stream', 'SHOAL_URL', 'Exit codes']) expect(out).toContain(word);
});
