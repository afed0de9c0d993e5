import type { EngineFact } from '@shoal/engine';

/**
 * How long running sequences wait from one of their tokens to the next, from the engine's facts: all that happened
 * between two decode steps, passes over others' prompts included, but not while nothing decoded.
 */
export class TokenGap {
  /** Sequences that have a slot. */
  #riding = 0;
  #phase: 'prefill' | 'decode' = 'prefill';
  #gapMs = 0;

  /** Milliseconds since the token before, when this fact says that a decode step's tokens are there. */
  after(fact: EngineFact): number | undefined {
    // Not requests: one has several choices, and one that is cancelled while it waits ends without having begun.
    if (fact.type === 'joined') this.#riding += 1;
    if (fact.type === 'left') this.#riding -= 1;
    if (fact.type === 'step') {
      this.#phase = fact.phase;
      // All that have a slot are in this prefill: nobody waits for a token meanwhile.
      const nobodyWaits = fact.phase === 'prefill' && fact.batchSize >= this.#riding;
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
