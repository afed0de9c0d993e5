/** Time as the engine knows it: injected, so that tests decide when it passes. */
export interface Clock {
  /** Unix time in milliseconds, never going backwards, with fractions. */
  now(): number;
  /** Calls `callback` once after `delayMs`; returns the function that cancels it. */
  after(delayMs: number, callback: () => void): () => void;
  /** Resolves after everything already in the event loop (messages, aborts, arrivals) had its turn. */
  turn(): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
};
