import { randomBytes } from 'node:crypto';
import { context, propagation, trace } from '@opentelemetry/api';
import { httpClient } from '@shoal/client';
import { redisClient } from '@shoal/client/redis';
import { openBullQueue } from '@shoal/queue';
import { Queue } from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { waitUntil } from '../../scripts/system/bounded.mjs';
import { Cluster } from '../cluster/cluster.ts';
import { type CollectedSpan, TraceCollector } from '../cluster/trace-collector.ts';

const PROMPT = 'What is 47 + 38?';
const LIMIT_MS = 40_000;
/** As a service that knows BullMQ and the wire, and nothing else of Shoal, would write it. */
const FOREIGN_JOB = { v: 1, prompt: PROMPT, params: { temperature: 0, topP: 1, topK: 0, stop: [], maxTokens: 8 } };

interface Caller {
  traceId: string;
  spanId: string;
  traceparent: string;
}

/** A trace that a service began. */
function caller(): Caller {
  const traceId = randomBytes(16).toString('hex');
  const spanId = randomBytes(8).toString('hex');
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-01` };
}

describe('traces of real processes', () => {
  let collector: TraceCollector;
  let cluster: Cluster;
  const redisUrl = inject('redisUrl');

  beforeAll(async () => {
    collector = await TraceCollector.start();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, MAX_BATCH_SIZE: '8' };
    cluster = await Cluster.start({ redisUrl, env });
  }, 120_000);
  afterAll(async () => {
    await cluster?.stop();
    await collector?.stop();
  });

  /** All spans of a trace, once those of all services that it passed, and its batch, arrived. */
  async function arrived(
    traceId: string,
    services: string[],
  ): Promise<{ spans: CollectedSpan[]; batches: CollectedSpan[] }> {
    const batchesOf = (job: CollectedSpan | undefined) =>
      collector.spans.filter(
        ({ name, links }) => name === 'batch minnow' && links?.some(({ spanId }) => spanId === job?.spanId),
      );
    const whole = () => {
      const job = collector.ofTrace(traceId).find(({ name }) => name.endsWith(' minnow'));
      const seen = new Set(collector.ofTrace(traceId).map(({ service }) => service));
      return batchesOf(job).length > 0 && services.every((service) => seen.has(service));
    };
    expect(await waitUntil(whole, { limitMs: LIMIT_MS, everyMs: 50 }), `spans of ${traceId}`).toBe(true);
    const spans = collector.ofTrace(traceId);
    return { spans, batches: batchesOf(spans.find(({ name }) => name.endsWith(' minnow'))) };
  }

  /** The worker's part of a trace hangs together: under `parentSpanId`, wait → prefill → decode inside, in this order. */
  function expectWorkersPart(spans: CollectedSpan[], parentSpanId: string): CollectedSpan {
    const job = spans.find(({ name }) => name.endsWith(' minnow'));
    expect(job).toMatchObject({ parentSpanId, service: 'shoal-worker' });
    const inside = ['queue wait', 'engine wait', 'prefill', 'decode'].map((name) =>
      spans.find((span) => span.name === name && span.parentSpanId === job?.spanId),
    );
    expect(inside.map((span) => span?.name)).toEqual(['queue wait', 'engine wait', 'prefill', 'decode']);
    const times = inside.flatMap((span) => [BigInt(span?.startTimeUnixNano ?? 0), BigInt(span?.endTimeUnixNano ?? 0)]);
    expect(times).toEqual([...times].sort((a, b) => (a < b ? -1 : 1)));
    expect(inside.at(-1)?.events?.map(({ name }) => name)).toEqual(['first token', 'last token']);
    if (job === undefined) throw new Error('no span of the job');
    return job;
  }

  /** A trace of its own, in which the job's links lead to the batch and the batch's to the job. */
  function expectLinked(job: CollectedSpan, batches: CollectedSpan[]): void {
    expect(batches.map((batch) => batch.traceId)).not.toContain(job.traceId);
    expect(job.links?.map((link) => link.spanId)).toContain(batches[0]?.spanId);
  }

  it('lead from HTTP through queue and batch to the last token', { timeout: 60_000 }, async () => {
    const callers = Array.from({ length: 4 }, caller);
    const answers = await Promise.all(
      callers.map(({ traceparent }) =>
        fetch(`${cluster.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', traceparent },
          body: JSON.stringify({ model: 'minnow', messages: [{ role: 'user', content: PROMPT }], max_tokens: 40 }),
        }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    for (const { traceId, spanId } of callers) {
      const { spans, batches } = await arrived(traceId, ['shoal-api', 'shoal-worker']);
      const server = spans.find(({ service }) => service === 'shoal-api');
      expect(server).toMatchObject({ name: 'POST /v1/chat/completions', parentSpanId: spanId });
      const job = expectWorkersPart(spans, server?.spanId ?? '');
      expect(job.name).toBe('chat minnow');
      expectLinked(job, batches);
    }
    // Some of the four rode together: their batch names them all.
    const sizes = collector.spans.filter(({ name }) => name === 'batch minnow').map(({ links }) => links?.length ?? 0);
    expect(Math.max(...sizes)).toBeGreaterThan(1);
  });

  it('begin with @shoal/client over HTTP', { timeout: 60_000 }, async () => {
    const { traceId, spanId } = caller();
    const client = httpClient({ url: cluster.url, model: 'minnow' });
    await withTrace({ traceId, spanId }, async () => {
      await client.generate({ prompt: PROMPT, maxTokens: 8 });
    });
    await client.close();
    const { spans, batches } = await arrived(traceId, ['shoal-api', 'shoal-worker']);
    const server = spans.find(({ name }) => name === 'POST /v1/jobs');
    expect(server).toMatchObject({ service: 'shoal-api', parentSpanId: spanId });
    expectLinked(expectWorkersPart(spans, server?.spanId ?? ''), batches);
    // Reading its events is part of the trace, too; that span ends last.
    const read = () =>
      collector
        .ofTrace(traceId)
        .some((span) => span.name === 'GET /v1/jobs/:id/events' && span.parentSpanId === spanId);
    expect(await waitUntil(read, { limitMs: LIMIT_MS, everyMs: 50 })).toBe(true);
  });

  it('begin with @shoal/client on the queue itself', { timeout: 60_000 }, async () => {
    const { traceId, spanId } = caller();
    const client = redisClient({ redisUrl, prefix: cluster.prefix, model: 'minnow' });
    try {
      await withTrace({ traceId, spanId }, async () => {
        await client.generate({ prompt: PROMPT, maxTokens: 8 });
      });
    } finally {
      await client.close();
    }
    const { spans, batches } = await arrived(traceId, ['shoal-worker']);
    const job = expectWorkersPart(spans, spanId);
    expect(job.name).toBe('text_completion minnow');
    expectLinked(job, batches);
  });

  it('begin with a BullMQ client that traces with bullmq-otel', { timeout: 60_000 }, async () => {
    const { traceId, spanId } = caller();
    const connection = new Redis(redisUrl);
    await withTrace({ traceId, spanId }, async () => {
      const telemetry = new BullMQOtel({ tracerName: 'a-service' });
      const queue = new Queue('minnow', { connection, prefix: `{${cluster.prefix}:minnow}`, telemetry });
      await queue.add('generate', FOREIGN_JOB);
      await queue.close();
    });
    connection.disconnect();
    const { spans, batches } = await arrived(traceId, ['shoal-worker']);
    expectLinked(expectWorkersPart(spans, spanId), batches);
  });

  // What BullMQ's clients in other languages write: the W3C headers as JSON.
  it('begin with any BullMQ client that carries a trace', { timeout: 60_000 }, async () => {
    const { traceId, spanId, traceparent } = caller();
    const queue = openBullQueue({ redisUrl, prefix: cluster.prefix, model: 'minnow' });
    await queue.add('generate', FOREIGN_JOB, { telemetry: { metadata: JSON.stringify({ traceparent }) } });
    const { spans, batches } = await arrived(traceId, ['shoal-worker']);
    expectLinked(expectWorkersPart(spans, spanId), batches);
    await queue.close();
  });

  it('survive a carrier that is none', { timeout: 60_000 }, async () => {
    const queue = openBullQueue({ redisUrl, prefix: cluster.prefix, model: 'minnow' });
    const jobs = await Promise.all(
      ['nonsense', '[]', '{"traceparent":"00-zz"}'].map((metadata) =>
        queue.add('generate', FOREIGN_JOB, { telemetry: { metadata } }),
      ),
    );
    const done = async () => (await Promise.all(jobs.map((job) => job.isCompleted()))).every(Boolean);
    expect(await waitUntil(done, { limitMs: LIMIT_MS, everyMs: 100 })).toBe(true);
    await queue.close();
  });

  it('say nothing of what was asked', () => {
    expect(collector.text).toContain('gen_ai.request.model');
    expect(collector.text).not.toContain('47 + 38');
  });
});

/** As a service with OpenTelemetry's SDK: a context manager and a propagator are registered, and a span is active. */
async function withTrace(of: { traceId: string; spanId: string }, work: () => Promise<void>): Promise<void> {
  const { AsyncLocalStorageContextManager } = await import('@opentelemetry/context-async-hooks');
  const { W3CTraceContextPropagator } = await import('@opentelemetry/core');
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const active = trace.setSpanContext(context.active(), { ...of, traceFlags: 1, isRemote: false });
  try {
    await context.with(active, work);
  } finally {
    context.disable();
    propagation.disable();
  }
}
