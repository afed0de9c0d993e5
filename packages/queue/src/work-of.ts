import type { GenerateRequest } from '@shoal/protocol';

/** Tokens assumed of a request that names no limit. */
const USUAL_TOKENS = 256;
const CHARACTERS_PER_TOKEN = 4;
/** A prompt token costs about this much of a generated one: prefill runs many at once. */
const PREFILL_COST = 0.1;

/**
 * The work that a request is expected to be, in generated tokens, ≥ 1. It need not be right: waits are predicted from
 * the rate at which work of this same estimate gets done.
 */
export function workOf({ prompt, messages, promptTokenIds, params }: GenerateRequest): number {
  const characters = prompt?.length ?? messages?.reduce((sum, { content }) => sum + content.length, 0) ?? 0;
  const promptTokens = promptTokenIds?.length ?? characters / CHARACTERS_PER_TOKEN;
  return Math.max(1, Math.round((params.maxTokens ?? USUAL_TOKENS) + promptTokens * PREFILL_COST));
}
