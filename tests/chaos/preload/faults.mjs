// Loaded into a worker of the test cluster by `node --import`, before any of Shoal's own code: the faults that no signal
// and no network can bring about. In production nothing of this exists.
//
// - Every step takes CHAOS_STEP_DELAY_MS longer: minnow answers in milliseconds, and streams must be open when a fault
//   strikes. The engine thread sleeps inside the run, as it would on a slower device.
// - A poison prompt: a run whose input holds the byte of CHAOS_POISON kills the process, as a native crash would.
// - A hanging device: while the file `hang` stands in CHAOS_CONTROL, the next run writes a file `hung` beside it, goes
//   into libc's sleep() and does not come back. Nothing in JavaScript can end such a call: neither the runtime's own
//   terminate nor process.exit.
// - A clock that jumps: `Date` is moved by the milliseconds that the file `clock` in CHAOS_CONTROL holds. Timers and
//   performance.now() go on as ever, as they do when somebody sets a machine's clock.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const { CHAOS_CONTROL = '', CHAOS_POISON = '', CHAOS_STEP_DELAY_MS = '0' } = process.env;
const ORT = new URL('../../../packages/ort/dist/', import.meta.url);

if (isMainThread) moveClock(join(CHAOS_CONTROL, 'clock'));
else await breakRuns();

/** @param {string} file */
function moveClock(file) {
  const RealDate = Date;
  let offset = 0;
  const read = () => {
    offset = existsSync(file) ? Number(readFileSync(file, 'utf8')) || 0 : 0;
  };
  read();
  setInterval(read, 100).unref();
  globalThis.Date = /** @type {DateConstructor} */ (
    class extends RealDate {
      /** @param {[]} values */
      constructor(...values) {
        if (values.length === 0) super(RealDate.now() + offset);
        else super(...values);
      }

      static now() {
        return RealDate.now() + offset;
      }
    }
  );
}

/** Every run of the model in this thread goes through here. */
async function breakRuns() {
  const { CapiBinding } = await import(new URL('capi/capi-binding.js', ORT).href);
  const { bindInput, run } = CapiBinding.prototype;
  const hangFile = join(CHAOS_CONTROL, 'hang');
  const hungFile = join(CHAOS_CONTROL, 'hung');
  const delayMs = Number(CHAOS_STEP_DELAY_MS);
  const bell = new Int32Array(new SharedArrayBuffer(4));
  const poison = [...Buffer.from(CHAOS_POISON)].map(BigInt);
  /** What a binding feeds to the model; other sessions (the sampling head) have no such input. */
  const fed = new WeakMap();

  CapiBinding.prototype.bindInput = function (name, tensor) {
    if (name === 'input_ids') fed.set(this, tensor);
    return bindInput.call(this, name, tensor);
  };
  CapiBinding.prototype.run = function (options) {
    const tensor = fed.get(this);
    if (tensor !== undefined) {
      if (holds(tensor.data, poison)) process.kill(process.pid, 'SIGKILL');
      if (existsSync(hangFile)) {
        writeFileSync(hungFile, '');
        nativeSleep(3600);
      }
      if (delayMs > 0) Atomics.wait(bell, 0, 0, delayMs);
    }
    return run.call(this, options);
  };
}

/** Whether `part` stands in `data`, in one piece. @param {BigInt64Array} data @param {bigint[]} part */
function holds(data, part) {
  if (part.length === 0 || data.length < part.length) return false;
  for (let at = data.indexOf(part[0]); at >= 0; at = data.indexOf(part[0], at + 1)) {
    if (part.every((byte, index) => data[at + index] === byte)) return true;
  }
  return false;
}

/** @param {number} seconds */
function nativeSleep(seconds) {
  const koffi = createRequire(new URL('index.js', ORT))('koffi');
  const library = process.platform === 'darwin' ? 'libSystem.dylib' : 'libc.so.6';
  koffi.load(library).func('unsigned int sleep(unsigned int)')(seconds);
}
