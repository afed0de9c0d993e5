import type { EngineFact } from '@shoal/engine';

/**
 * How long running sequences wait from one of their tokens to the next, from the engine's facts: all that happened
 * between two decode steps, passes over others' prompts included, but not while nothing decoded.
 */
export class TokenGap {
  /** Requests that have begun and not ended. */
  #running = 0;
  #phase: 'prefill' | 'decode' = 'prefill';
  #gapMs = 0;

  /** Milliseconds since the token before, when this fact says that a decode step's tokens are there. */
  after(fact: EngineFact): number | undefined {
    if (fact.type === 'started') this.#running += 1;
    if (fact.type === 'sequence-finished') this.#running = Math.max(0, this.#running - 1);
    if (fact.type === 'step') {
      this.#phase = fact.phase;
      // All that run are in this prefill: nobody waits for a token meanwhile.
      const nobodyWaits = fact.phase === 'prefill' && fact.batchSize >= this.#running;
      this.#gapMs = nobodyWaits ? 0 : this.#gapMs + fact.durationMs;
    }
    if (fact.type !== 'sample') return undefined;
    if (this.#phase === 'prefill') {
      if (this.#gapMs > 0) this.#gapMs += fact.durationMs;
      return undefined;
    }
    const gapMs = this.#gapMs + fact.durationMs;
    this.#gapMs = 0;
    return gapMs;
  }
}
