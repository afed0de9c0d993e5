import type { RunControl } from '../backend.ts';
import { Lifetime } from '../lifetime.ts';
import { OrtError } from '../ort-error.ts';

/** onnxruntime-node cannot end a run that has begun; runs that follow a `terminate` are refused. */
export class NodeRunControl implements RunControl {
  readonly handle = 0n;
  readonly #lifetime = new Lifetime('a run control', () => {});
  #terminated = false;

  terminate(): void {
    this.#lifetime.assertAlive();
    this.#terminated = true;
  }

  reset(): void {
    this.#lifetime.assertAlive();
    this.#terminated = false;
  }

  /** @throws OrtError `terminated` */
  assertRunning(): void {
    this.#lifetime.assertAlive();
    if (this.#terminated) throw new OrtError('terminated', 'the run was ended by its control before it began');
  }

  dispose(): void {
    this.#lifetime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
