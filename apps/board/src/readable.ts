import { GenerateRequest, GenerateResult } from '@shoal/protocol';
import { shorten } from './shorten.ts';

/** A job's data as people read it: what was asked first, a conversation line by line, then how it is to be answered. */
export function readableRequest(value: unknown): unknown {
  const parsed = GenerateRequest.safeParse(value);
  if (!parsed.success) return shorten(value);
  const { prompt, messages, chatTemplateKwargs, promptTokenIds, params, deadline, tenant } = parsed.data;
  return shorten({
    ...(prompt === undefined ? {} : { prompt }),
    ...(messages === undefined ? {} : { conversation: messages.map(({ role, content }) => `${role}: ${content}`) }),
    ...(chatTemplateKwargs === undefined ? {} : { chatTemplateKwargs }),
    ...(promptTokenIds === undefined ? {} : { promptTokens: promptTokenIds.length }),
    params,
    ...(tenant === undefined ? {} : { tenant }),
    ...(deadline === undefined ? {} : { deadline: new Date(deadline).toISOString() }),
  });
}

/** A job's return value as people read it: the answer first, then how it went; token ids only by their number. */
export function readableResult(value: unknown): unknown {
  const parsed = GenerateResult.safeParse(typeof value === 'string' ? parse(value) : value);
  if (!parsed.success) return shorten(value);
  const { text, finishReason, choices, usage, timings, ride, seed, resumes } = parsed.data;
  return shorten({
    answer: text,
    ...(choices === undefined ? {} : { choices: choices.map((choice) => choice.text) }),
    finishReason,
    tokens: { prompt: usage.promptTokens, answer: usage.completionTokens },
    milliseconds: {
      queued: wholeMs(timings.claimedAt - timings.queuedAt),
      untilFirstToken: wholeMs(timings.firstTokenAt - timings.claimedAt),
      generating: wholeMs(timings.finishedAt - timings.firstTokenAt),
    },
    ranIn: { worker: ride.worker, batch: ride.batchId, batchSize: ride.batchSize },
    ...(resumes === undefined ? {} : { resumes }),
    seed,
  });
}

/** Clocks of two machines may differ. */
function wholeMs(ms: number): number {
  return Math.round(Math.max(0, ms));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
