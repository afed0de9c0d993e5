import { DEFAULT_PRIORITY, type SamplingParams } from '@shoal/protocol';
import type { GenerationOptions } from './options.ts';

/** How a request is to be served, apart from what it says. */
export interface Service {
  params: SamplingParams;
  /** 0 first … 9 last. */
  priority: number;
  timeoutMs: number | undefined;
  stream: boolean;
  includeUsage: boolean;
}

/** What the two endpoints word differently. */
export interface EndpointOptions {
  maxTokens: number | null | undefined;
  /** How many of the likeliest tokens are told at each place; `undefined`: no log probabilities. */
  logprobs: number | undefined;
}

/** The inside form of the options. What was left out, or null, is left out here too, or has OpenAI's default. */
export function serviceOf(options: GenerationOptions, { maxTokens, logprobs }: EndpointOptions): Service {
  return {
    params: {
      maxTokens: maxTokens ?? undefined,
      temperature: options.temperature ?? 1,
      topP: options.top_p ?? 1,
      topK: Math.max(0, options.top_k ?? 0),
      minP: options.min_p ?? undefined,
      frequencyPenalty: options.frequency_penalty ?? undefined,
      presencePenalty: options.presence_penalty ?? undefined,
      repetitionPenalty: options.repetition_penalty ?? undefined,
      logitBias: options.logit_bias ?? undefined,
      seed: seedOf(options.seed),
      stop: typeof options.stop === 'string' ? [options.stop] : (options.stop ?? []),
      stopTokenIds: options.stop_token_ids ?? undefined,
      minTokens: options.min_tokens ?? undefined,
      ignoreEos: options.ignore_eos ?? undefined,
      logprobs,
      n: options.n ?? undefined,
    },
    priority: options.priority ?? DEFAULT_PRIORITY,
    timeoutMs: options.timeout_ms ?? undefined,
    stream: options.stream ?? false,
    includeUsage: options.stream_options?.include_usage ?? false,
  };
}

/**
 * The seed as the engine takes it: the lower 53 bits, as two's complement has them, in other words modulo 2^53. One that
 * the engine can take is itself, so that the seed which an answer tells gives that answer again.
 */
function seedOf(seed: number | null | undefined): number | undefined {
  return typeof seed === 'number' ? Number(BigInt.asUintN(53, BigInt(seed))) : undefined;
}
