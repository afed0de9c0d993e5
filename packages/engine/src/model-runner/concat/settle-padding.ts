import type { ConcatRunner } from './concat-runner.ts';

const PROMPT = [1, 2, 3, 4, 5];
/** Of the largest logit: far more than rounding, in half precision too, and far less than a wrong position makes. */
const TOLERANCE = 0.05;

/**
 * Lets the runner pad caches only if a decode step over a padded one gives what the same over the bare one gives: a
 * graph may ignore the mask, or take distances from where keys lie in the cache. Uses row 0 and leaves it free.
 */
export async function settlePadding(runner: ConcatRunner): Promise<void> {
  if (!runner.padsCache) return;
  const prompt = PROMPT.map((id) => id % runner.vocabSize).slice(0, runner.maxLength - 1);
  const logits = async (padsCache: boolean): Promise<Float32Array> => {
    runner.padsCache = padsCache;
    await runner.prefill(0, [prompt]);
    return (await runner.decode([0], [prompt.length])).logits(0).slice();
  };
  const bare = await logits(false);
  const padded = await logits(true);
  const largest = bare.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  runner.padsCache = bare.every((value, id) => Math.abs(value - (padded[id] ?? 0)) <= TOLERANCE * largest);
  runner.freeSlot(0);
}
