// Loaded into a worker under test by `node --import`, before any of Shoal's own code: a device that is out of memory
// once. While the file `out-of-memory` stands in SHOAL_TEST_CONTROL, the next run of the model that holds several
// sequences fails below the engine, as the runtime's own would; SHOAL_TEST_STEP_MS makes every run take longer.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const { SHOAL_TEST_CONTROL = '', SHOAL_TEST_STEP_MS = '0' } = process.env;
const ORT = new URL('../../packages/ort/dist/', import.meta.url);

if (!isMainThread) {
  const { CapiBinding } = await import(new URL('capi/capi-binding.js', ORT).href);
  const { OrtError } = await import(new URL('index.js', ORT).href);
  const { bindInput, run } = CapiBinding.prototype;
  const file = join(SHOAL_TEST_CONTROL, 'out-of-memory');
  const stepMs = Number(SHOAL_TEST_STEP_MS);
  const bell = new Int32Array(new SharedArrayBuffer(4));
  /** Rows that a binding feeds to the model; other sessions (the sampling head) have no such input. */
  const rows = new WeakMap();

  CapiBinding.prototype.bindInput = function (name, tensor) {
    if (name === 'input_ids') rows.set(this, tensor.shape[0]);
    return bindInput.call(this, name, tensor);
  };
  CapiBinding.prototype.run = function (options) {
    const count = rows.get(this);
    if (count > 1 && SHOAL_TEST_CONTROL !== '' && existsSync(file)) {
      rmSync(file);
      throw new OrtError('out_of_memory', 'the device is out of memory: a test says so');
    }
    if (count !== undefined && stepMs > 0) Atomics.wait(bell, 0, 0, stepMs);
    return run.call(this, options);
  };
}
