import type { Work } from './contestants/engine-load.ts';
import { logNormal, random } from './random.ts';

export interface MixedWorkOptions {
  readonly count: number;
  readonly vocab: number;
  readonly seed: number;
}

/**
 * Prompts and answers of log-normal lengths, as chat traffic has them: medians 32 and 24 tokens, deviations of the
 * logarithm 0.8 and 1.
 */
export function mixedWork({ count, vocab, seed }: MixedWorkOptions): Work[] {
  const next = random(seed);
  return Array.from({ length: count }, () => {
    const promptLength = clamp(Math.round(logNormal(next, 32, 0.8)), 4, 192);
    const maxTokens = clamp(Math.round(logNormal(next, 24, 1)), 4, 240);
    const prompt = Array.from({ length: promptLength }, () => Math.floor(next() * vocab));
    return { prompt, maxTokens };
  });
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
