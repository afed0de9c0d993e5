import type { Clock, ModelRunner } from '@shoal/engine';

/** A clock that moves only when it is told to, or when nothing is left to do but to wait for a timer. */
export class VirtualClock implements Clock {
  #now = 1_700_000_000_000;

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  after(delayMs: number, callback: () => void): () => void {
    const due = this.#now + delayMs;
    const timer = setTimeout(() => {
      this.#now = Math.max(this.#now, due);
      callback();
    }, 0);
    return () => clearTimeout(timer);
  }

  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a pass costs: a fixed part, and a part for each of its tokens, padding included. */
export interface PassCost {
  readonly passMs: number;
  readonly tokenMs: number;
}

/**
 * A runner that computes as the one inside it does, and says that it took as long as on a device where a pass has a
 * fixed cost and each token adds a little: how accelerators behave below their saturation.
 */
export function simulatedRunner(inner: ModelRunner, clock: VirtualClock, cost: PassCost): ModelRunner {
  const pass = (tokens: number): void => clock.advance(cost.passMs + cost.tokenMs * tokens);
  const { mixed } = inner;
  const timedMixed: ModelRunner['mixed'] = (tokenIds, pasts, chunk) => {
    pass(tokenIds.length + chunk.tokenIds.length);
    return mixed?.call(inner, tokenIds, pasts, chunk) ?? Promise.reject(new Error('there are no mixed passes'));
  };
  const timed: Partial<ModelRunner> = {
    ...(mixed === undefined ? {} : { mixed: timedMixed }),
    prefill: (...args) => {
      const [, prompts] = args;
      pass(prompts.length * Math.max(...prompts.map((prompt) => prompt.length)));
      return inner.prefill(...args);
    },
    extend: (...args) => {
      pass(args[2].length);
      return inner.extend(...args);
    },
    decode: (...args) => {
      pass(args[0].length);
      return inner.decode(...args);
    },
  };
  return new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(timed, name) ?? Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
