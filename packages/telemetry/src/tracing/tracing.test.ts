import { SpanKind } from '@opentelemetry/api';
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { EngineFact } from '@shoal/engine';
import type { GenerateResult } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';
import { expect, test } from 'vitest';
import { BatchSpans } from './batch-spans.ts';
import { JobSpans } from './job-spans.ts';
import { startTracing } from './start-tracing.ts';

/** Far from zero: the SDK takes small numbers for times since the process began. */
const T = 1_790_000_000_000;
const of = { model: 'minnow', worker: 'w1' };

function recorded() {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const tracer = provider.getTracer('test');
  const jobs = new JobSpans(tracer, of);
  const batches = new BatchSpans(tracer, { ...of, jobs }, () => T + 1_000);
  const named = (name: string): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.name === name);
  return { jobs, batches, named, all: () => exporter.getFinishedSpans() };
}

function claimed(id: string): ClaimedJob {
  return {
    ...{ id, priority: 5, queuedAt: T, claimedAt: T + 250, logged: { tokenIds: [], text: '' } },
    request: { v: 1, prompt: 'hunter2', params: { temperature: 0.5, topP: 1, topK: 0, stop: [], maxTokens: 9 } },
    signal: new AbortController().signal,
    append: () => {},
    complete: async () => {},
    fail: async () => {},
    handBack: async () => {},
  };
}

const result: GenerateResult = {
  v: 1,
  text: 'hunter2',
  tokenIds: [1],
  finishReason: 'stop',
  seed: 1,
  usage: { promptTokens: 3, completionTokens: 5 },
  timings: { queuedAt: T, claimedAt: T + 250, startedAt: T + 300, firstTokenAt: T + 400, finishedAt: T + 1_000 },
  ride: { worker: 'w1', batchId: 7, batchSize: 2 },
};

const joined = (requestId: string): EngineFact => ({ type: 'joined', requestId, choice: 0 });
const left = (requestId: string): EngineFact => ({ type: 'left', requestId, choice: 0 });
const step: EngineFact = { type: 'step', phase: 'decode', batchSize: 2, tokens: 2, paddingTokens: 1, durationMs: 4 };
const ms = ([seconds, nanoseconds]: readonly [number, number]): number => seconds * 1_000 + nanoseconds / 1e6;

test('a job is one span with its wait, prefill and decode inside, and says nothing of what was said', () => {
  const { jobs, named, all } = recorded();
  jobs.begin(claimed('a')).completed(result);
  const [job] = named('text_completion minnow');
  expect(job?.kind).toBe(SpanKind.CONSUMER);
  expect(job?.attributes).toMatchObject({
    'gen_ai.operation.name': 'text_completion',
    'gen_ai.request.model': 'minnow',
    'gen_ai.request.max_tokens': 9,
    'gen_ai.usage.output_tokens': 5,
    'gen_ai.response.finish_reasons': ['stop'],
    'shoal.worker.id': 'w1',
  });
  const inside = ['queue wait', 'engine wait', 'prefill', 'decode'].map((name) => named(name)[0]);
  const parents = inside.map((span) => span?.parentSpanContext?.spanId);
  expect(parents).toEqual(inside.map(() => job?.spanContext().spanId));
  expect(inside.map((span) => span && [ms(span.startTime), ms(span.endTime)])).toEqual([
    [T, T + 250],
    [T + 250, T + 300],
    [T + 300, T + 400],
    [T + 400, T + 1_000],
  ]);
  const told = all().map(({ name, attributes, events, status }) => ({ name, attributes, events, status }));
  expect(JSON.stringify(told)).not.toContain('hunter2');
});

test('a failure is told by its code', () => {
  const { jobs, named } = recorded();
  jobs.begin(claimed('a')).failed({ code: 'deadline_exceeded', message: 'hunter2' });
  const [job] = named('text_completion minnow');
  expect(job?.attributes['error.type']).toBe('deadline_exceeded');
  expect(job?.status.message).toBe('deadline_exceeded');
});

test('a batch links to all that rode in it, and they to the batch', () => {
  const { jobs, batches, named } = recorded();
  const ends = ['a', 'b'].map((id) => jobs.begin(claimed(id)));
  for (const fact of [joined('a'), joined('b'), step, left('a'), step, left('b')]) batches.record(fact);
  for (const end of ends) end.completed(result);
  const [batch] = named('batch minnow');
  const requests = named('text_completion minnow');
  expect(batch?.parentSpanContext).toBeUndefined();
  expect(batch?.links.map(({ context }) => context.spanId)).toEqual(requests.map((span) => span.spanContext().spanId));
  expect(batch?.attributes).toMatchObject({ 'shoal.batch.requests': 2, 'shoal.batch.decode_steps': 2 });
  for (const request of requests) expect(request.links[0]?.context.spanId).toBe(batch?.spanContext().spanId);
});

test('a batch that never empties is told in stretches, each with those that ride on', () => {
  const { jobs, batches, named } = recorded();
  jobs.begin(claimed('a'));
  batches.record(joined('a'));
  for (let steps = 0; steps < 130; steps++) batches.record(step);
  const stretches = named('batch minnow');
  expect(stretches.map(({ attributes }) => attributes['shoal.batch.decode_steps'])).toEqual([64, 64]);
  expect(stretches.map(({ links }) => links.length)).toEqual([1, 1]);
});

test('a batch without a recorded request has no span', () => {
  const { batches, all } = recorded();
  for (const fact of [joined('x'), step, left('x')]) batches.record(fact);
  expect(all()).toEqual([]);
});

test('without an endpoint nothing is traced', async () => {
  const logger = { info: () => {}, warn: () => {} };
  expect(await startTracing({ service: 's', instance: 'i', endpoint: undefined, sample: 1, logger })).toBeUndefined();
});
