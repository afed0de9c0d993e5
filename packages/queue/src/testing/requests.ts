import {
  type GenerateRequest,
  type GenerateResult,
  GenerateRequest as RequestSchema,
  type TokensEvent,
} from '@shoal/protocol';

/** A small valid request for tests. */
export function sampleRequest(fields: Partial<GenerateRequest> = {}): GenerateRequest {
  return RequestSchema.parse({ v: 1, prompt: 'once upon a time', params: { seed: 7 }, ...fields });
}

/** A result of `count` tokens 0, 1, 2 …, whose text is one letter each. */
export function sampleResult(count: number, fields: Partial<GenerateResult> = {}): GenerateResult {
  const tokenIds = Array.from({ length: count }, (_, index) => index);
  return {
    v: 1,
    text: tokenIds.map(letter).join(''),
    tokenIds,
    finishReason: 'stop',
    usage: { promptTokens: 4, completionTokens: count },
    seed: 7,
    timings: { queuedAt: 1, claimedAt: 2, startedAt: 3, firstTokenAt: 4, finishedAt: 5 },
    ride: { worker: 'test', batchId: 1, batchSize: 1 },
    ...fields,
  };
}

/** The one-token event at a position of {@link sampleResult}. */
export function sampleTokens(position: number): TokensEvent {
  return { type: 'tokens', position, tokenIds: [position], text: letter(position) };
}

function letter(token: number): string {
  return String.fromCharCode(97 + (token % 26));
}
