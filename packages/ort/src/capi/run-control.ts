import type { RunControl } from '../backend.ts';
import { Lifetime } from '../lifetime.ts';
import type { OrtApi, Pointer } from './ort-api.ts';

/** An `OrtRunOptions`, whose terminate flag the executor reads before every operator. */
export class CapiRunControl implements RunControl {
  readonly handle: Pointer;
  readonly lifetime: Lifetime;
  readonly #api: OrtApi;

  constructor(api: OrtApi) {
    this.#api = api;
    this.handle = api.make((out) => api.createRunOptions(out));
    this.lifetime = new Lifetime('a run control', () => api.releaseRunOptions(this.handle));
  }

  terminate(): void {
    this.lifetime.assertAlive();
    this.#api.check(this.#api.runOptionsSetTerminate(this.handle));
  }

  reset(): void {
    this.lifetime.assertAlive();
    this.#api.check(this.#api.runOptionsUnsetTerminate(this.handle));
  }

  dispose(): void {
    this.lifetime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
