import { randomUUID } from 'node:crypto';
import { type GenerateRequest, type GenerateResult, GenerateRequest as RequestSchema } from '@shoal/protocol';

const JOB_BYTES = 500;

/** Where a queue is. */
export interface QueueAddress {
  redisUrl: string;
  prefix: string;
  model: string;
}

/** A queue that nobody has used. */
export function freshQueue(redisUrl: string): QueueAddress {
  return { redisUrl, prefix: 'bench', model: randomUUID() };
}

/** A request that is 500 bytes long as JSON on the queue, or as long as its fields make it. */
export function requestOf(fields: Partial<GenerateRequest> = {}): GenerateRequest {
  const bare = RequestSchema.parse({ v: 1, prompt: '', params: { seed: 7, maxTokens: 16 }, ...fields });
  const missing = JOB_BYTES - JSON.stringify(bare).length;
  return { ...bare, prompt: 'once upon a time '.repeat(32).slice(0, Math.max(1, missing)) };
}

/** The result of an engine that does nothing but name these tokens, done now by the clock that all processes share. */
export function resultOf(tokenIds: readonly number[], worker: string, text: string = textOf(tokenIds)): GenerateResult {
  const now = sharedNow();
  return {
    v: 1,
    text,
    tokenIds: [...tokenIds],
    finishReason: 'length',
    usage: { promptTokens: 100, completionTokens: tokenIds.length },
    seed: 7,
    timings: { queuedAt: now, claimedAt: now, startedAt: now, firstTokenAt: now, finishedAt: now },
    ride: { worker, batchId: 1, batchSize: 32 },
  };
}

/** Unix time in milliseconds, with fractions. */
export function sharedNow(): number {
  return performance.timeOrigin + performance.now();
}

/** The text of a token of the engine that does nothing: three letters and a space. */
export function textOf(tokenIds: readonly number[]): string {
  return tokenIds.map((id) => `${(id % 46_656).toString(36).padStart(3, '0')} `).join('');
}
