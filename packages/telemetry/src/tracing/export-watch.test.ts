import { createServer, type Server } from 'node:http';
import { context, diag, propagation, trace } from '@opentelemetry/api';
import { ExportResultCode } from '@opentelemetry/core';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { afterEach, expect, test, vi } from 'vitest';
import { ExportWatch } from './export-watch.ts';
import { startTracing } from './start-tracing.ts';

const LIMIT_MS = 20_000;

let closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.reverse()) await close();
  closers = [];
  for (const api of [trace, propagation, context, diag]) api.disable();
});

function lines() {
  const told: string[] = [];
  const tell = (line: unknown): void => void told.push(String(line));
  return { told, logger: { info: tell, warn: tell } };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

/** Begins to trace, with secrets in the address and the headers; every line that is told of it. */
async function tracingTo(port: number): Promise<{ told: string[] }> {
  const { told, logger } = lines();
  const endpoint = `http://somebody:hunter2@127.0.0.1:${port}`;
  const headers = 'authorization=Bearer%20hunter3';
  const tracing = await startTracing({ service: 's', instance: 'i', endpoint, headers, sample: 1, logger });
  closers.push(() => tracing?.close());
  return { told };
}

const span = (): void => trace.getTracer('test').startSpan('a span').end();

test('a collector that refuses is told once, without secrets, and once more when it takes spans', async () => {
  let status = 401;
  const server = createServer((request, response) => {
    request.resume();
    // As some proxies do, it says what it was given.
    response.writeHead(status, `no ${request.headers.authorization}`).end(status === 200 ? '{}' : 'Bearer hunter3');
  });
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  const port = await listening(server);
  const { told } = await tracingTo(port);
  span();
  await vi.waitUntil(() => told.length > 0, LIMIT_MS);
  span();
  status = 200;
  await vi.waitUntil(() => {
    span();
    return told.length > 1;
  }, LIMIT_MS);
  expect(told).toEqual([
    `traces are lost: the collector at 127.0.0.1:${port} answers 401; see OTEL_EXPORTER_OTLP_ENDPOINT and _HEADERS`,
    `traces arrive at 127.0.0.1:${port} again`,
  ]);
}, 60_000);

test('a port on which nobody listens is told', async () => {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  const { told } = await tracingTo(port);
  span();
  await vi.waitUntil(() => told.length > 0, LIMIT_MS);
  expect(told).toEqual([
    expect.stringContaining(`the collector at 127.0.0.1:${port} cannot be reached (ECONNREFUSED)`),
  ]);
}, 60_000);

test('a collector that comes and goes is told once a minute, and a fault of the SDK too', () => {
  const { told, logger } = lines();
  let now = 0;
  const headers = { authorization: 'Bearer hunter3' };
  const watch = new ExportWatch({ logger, url: 'http://somebody:hunter2@c:4318/v1/traces', headers, now: () => now });
  watch.install();
  const outcomes: (Error | undefined)[] = [];
  const exporter = watch.over({
    export: (_, done) => {
      const error = outcomes.shift();
      done(error === undefined ? { code: ExportResultCode.SUCCESS } : { code: ExportResultCode.FAILED, error });
    },
    shutdown: async () => {},
  } satisfies SpanExporter);
  const exported = (error?: Error): void => {
    outcomes.push(error);
    exporter.export([], () => {});
  };
  exported(new Error('http://somebody:hunter2@c:4318 has no ears for hunter3'));
  exported();
  exported(new Error('Timeout'));
  exported();
  diag.warn('Header has the value hunter3');
  diag.error('once more');
  now = 60_000;
  exported(new Error('Request timed out'));
  exported(new Error('Timeout'));
  diag.warn('Dropped 7 spans because maxQueueSize reached');
  expect(told).toEqual([
    expect.stringContaining('the collector at c:4318 took no spans: http://c:4318 has no ears for …;'),
    'traces arrive at c:4318 again',
    'tracing: Header has the value …',
    expect.stringContaining('the collector at c:4318 does not answer in time;'),
    'tracing: Dropped 7 spans because maxQueueSize reached',
  ]);
});
