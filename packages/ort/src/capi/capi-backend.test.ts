import { constants } from 'node:buffer';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { DECODER_TINY, decoder, GraphBuilder } from '@shoal/onnx-graph';
import { expect, test } from 'vitest';
import { loadOrt } from '../load-ort.ts';

const DIST = new URL('../../dist/index.js', import.meta.url).href;

/** Resident bytes of this process by the kernel's account (4 KiB pages); only on Linux. */
function residentBytes(): number {
  return Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096;
}

/** `nodes` matrix products in a row: a run long enough to be met while it computes. */
function slowGraph(nodes: number, size: number = 256): Uint8Array {
  const g = new GraphBuilder({ name: 'slow' });
  let value = g.input('x', 'float32', [size, size]);
  const w = g.initializer('w', 'float32', [size, size], new Float32Array(size * size).fill(1 / size));
  for (let i = 0; i < nodes; i++) value = g.node('MatMul', [value, w]);
  g.node('Identity', [value], { outputs: ['y'] });
  g.output('y', 'float32', [size, size]);
  return g.toBytes();
}

test.runIf(process.platform === 'linux')('100,000 tensors and views come and go without growth', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  const cycle = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      // Node frees the records of array buffers over native memory only when the event loop turns.
      if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
      const tensor = ort.allocate('float32', [1024]);
      const view = tensor.view(16, [4, 8]);
      view.data[0] = i;
      tensor.dispose();
      view.dispose();
    }
  };
  await cycle(20_000);
  const before = residentBytes();
  await cycle(100_000);
  // Leaking either the memory (4 KiB) or the two native values (about 300 bytes) would show as 400 or 30 MB.
  expect(residentBytes() - before).toBeLessThan(20e6);
});

test.runIf(process.platform === 'linux')('sessions, bindings and results come and go without growth', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  const model = decoder(DECODER_TINY);
  const cycle = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      using session = await ort.createSession(model, { intraOpThreads: 1 });
      using ids = session.allocate('int64', [1, 8]);
      using mask = ort.allocate('int64', [1, 8]);
      using past = ort.allocate('float32', [1, 2, 0, 16]);
      ids.data.fill(1n);
      mask.data.fill(1n);
      const feeds = Object.fromEntries(
        session.inputs.filter(({ name }) => name.startsWith('past')).map(({ name }) => [name, past]),
      );
      const results = await session.run({ input_ids: ids, attention_mask: mask, ...feeds });
      for (const tensor of Object.values(results)) tensor.dispose();
    }
  };
  await cycle(60);
  const before = residentBytes();
  await cycle(200);
  // One leaked session is 0.5 MB or more.
  expect(residentBytes() - before).toBeLessThan(20e6);
});

test.runIf(process.platform === 'linux')('runs of one session come and go without growth', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  using session = await ort.createSession(slowGraph(1, 32), { intraOpThreads: 1 });
  using x = ort.allocate('float32', [32, 32]);
  const cycle = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
      const { y } = await session.run({ x });
      y?.dispose();
      await session.run({ x }, ['nowhere']).catch(() => {});
    }
  };
  await cycle(3000);
  const before = residentBytes();
  await cycle(10_000);
  // A binding that is left behind is about 2 KB, a result 4 KB.
  expect(residentBytes() - before).toBeLessThan(15e6);
});

test.runIf(process.platform === 'linux')(
  'untouched pages are not resident, and freed ones are given back',
  async () => {
    const ort = await loadOrt({ backend: 'capi' });
    const before = residentBytes();
    using slab = ort.allocate('float32', [8, 8 * 2 ** 20]);
    expect(residentBytes() - before).toBeLessThan(20e6);
    slab.data.fill(1, 0, 4 * 8 * 2 ** 20);
    expect(residentBytes() - before).toBeGreaterThan(120e6);
    // Slots 1 and 2 of 32 MiB each.
    const dropped = slab.adviseFree(8 * 2 ** 20, 2 * 8 * 2 ** 20);
    expect(dropped).toBe(64 * 2 ** 20);
    expect(residentBytes() - before).toBeLessThan(90e6);
    expect(slab.data[8 * 2 ** 20 - 1]).toBe(1);
    expect(slab.data[8 * 2 ** 20]).toBe(0);
    expect(slab.data[3 * 8 * 2 ** 20]).toBe(1);
    expect(slab.view(5, [100]).adviseFree()).toBe(0);
  },
);

test('a tensor may pass 2 GiB', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  using slab = ort.allocate('float32', [3, 2 ** 28]);
  slab.data[3 * 2 ** 28 - 1] = 5;
  expect(slab.view(3 * 2 ** 28 - 1, [1]).data[0]).toBe(5);
});

test('a tensor may pass 4 GiB, which an array may not everywhere: its views have arrays, and it is copied', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  const elements = 2 ** 30 + 2 ** 10;
  using slab = ort.allocate('float32', [elements]);
  using start = slab.view(0, [1]);
  using end = slab.view(elements - 1, [1]);
  end.data[0] = 5;
  slab.copyFrom(slab, elements - 1, 0, 1);
  expect(start.data[0]).toBe(5);
  expect(slab.view(elements - 1, [1]).data[0]).toBe(5);
  if (slab.byteLength > constants.MAX_LENGTH) {
    expect(() => slab.data).toThrow(expect.objectContaining({ code: 'not_implemented' }));
  }
});

test('more memory than the system has is out_of_memory', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  expect(() => ort.allocate('float32', [2 ** 45])).toThrow(expect.objectContaining({ code: 'out_of_memory' }));
});

test('a run is ended while it computes', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  using session = await ort.createSession(slowGraph(5_000), { intraOpThreads: 1, graphOptimization: 'disabled' });
  using x = ort.allocate('float32', [256, 256]);
  using control = ort.createRunControl();
  const run = session.run({ x }, ['y'], { control, blocking: false });
  setImmediate(() => control.terminate());
  await expect(run).rejects.toMatchObject({ code: 'terminated' });
  control.reset();
});

test('a run that is not blocking leaves this thread free, and keeps what is disposed meanwhile', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  const session = await ort.createSession(slowGraph(300), { intraOpThreads: 1 });
  const x = ort.allocate('float32', [256, 256]);
  const y = ort.allocate('float32', [256, 256]);
  const binding = session.createBinding();
  binding.bindInput('x', x);
  binding.bindOutput('y', y);
  x.data.fill(1);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const run = binding.run({ blocking: false });
  const seen = y.data;
  session.dispose();
  x.dispose();
  expect(() => x.data).toThrow(/disposed/);
  await run;
  clearInterval(timer);
  expect(turns).toBeGreaterThan(0);
  expect(seen[0]).toBeCloseTo(1, 3);
  y.dispose();
});

test('the provider’s memory outlives the session until it is disposed', async () => {
  const ort = await loadOrt({ backend: 'capi' });
  const session = await ort.createSession(slowGraph(1));
  const tensor = session.allocate('float32', [64]);
  session.dispose();
  tensor.data.fill(3);
  expect(tensor.data[63]).toBe(3);
  tensor.dispose();
  expect(() => session.allocate('float32', [1])).toThrow(/disposed/);
});

test.each(['cuda', 'tensorrt', 'dml'])(
  'the provider %s, which is not in this build, is refused by its name',
  async (name) => {
    const ort = await loadOrt({ backend: 'capi' });
    const failure = ort.createSession(slowGraph(1), { executionProviders: [{ name, options: { device_id: '0' } }] });
    await expect(failure).rejects.toMatchObject({
      code: 'ep_fail',
      message: expect.stringContaining(`the execution provider "${name}" cannot be used here`),
    });
  },
);

test('works in a worker thread, whose watchdog in another thread can end its run', async () => {
  const source = `
    import { workerData, parentPort } from 'node:worker_threads';
    const { loadOrt } = await import(workerData.ort);
    const ort = await loadOrt({ backend: 'capi' });
    const session = await ort.createSession(workerData.model, { intraOpThreads: 1, graphOptimization: 'disabled' });
    const x = ort.allocate('float32', [256, 256]);
    const control = ort.createRunControl();
    parentPort.postMessage({ handle: control.handle });
    let outcome = 'ended by itself';
    try { await session.run({ x }, ['y'], { control }); } catch (error) { outcome = error.code; }
    control.dispose(); session.dispose(); x.dispose();
    parentPort.postMessage({ outcome });
  `;
  const ort = await loadOrt({ backend: 'capi' });
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const workerData = { ort: DIST, model: slowGraph(5_000) };
  const worker = new Worker(url, { workerData });
  const outcome = await new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', (message: { handle?: bigint; outcome?: string }) => {
      // The worker blocks from here on: only another thread can reach it. Twice, should the first come too early.
      if (message.handle !== undefined) setTimeout(() => ort.terminate(message.handle ?? 0n), 20);
      else resolve(message.outcome);
    });
  });
  await worker.terminate();
  expect(outcome).toBe('terminated');
});

// A terminated session's threads live on, and crash the process where their code is gone; after a disposed one nothing
// crashes, but nothing else than the pin keeps the library either.
test.runIf(process.platform === 'linux').each([
  ['whose session is alive', ''],
  ['that disposed its session', 'globalThis.session.dispose();'],
])('a worker %s does not unload the library when it ends', async (_, atTheEnd) => {
  const worker = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.ort).then(async ({ loadOrt }) => {
      const ort = await loadOrt({ backend: 'capi' });
      globalThis.session = await ort.createSession(workerData.model, { intraOpThreads: 2 });
      const x = ort.allocate('float32', [32, 32]);
      await globalThis.session.run({ x });
      ${atTheEnd}
      parentPort.postMessage('ran');
      setInterval(() => {}, 1000);
    });
  `;
  const main = `
    const { Worker } = require('node:worker_threads');
    const workerData = { ort: process.argv[1], model: Buffer.from(process.argv[2], 'base64') };
    const worker = new Worker(${JSON.stringify(worker)}, { eval: true, workerData });
    worker.once('message', async () => {
      await worker.terminate();
      await new Promise((resolve) => setTimeout(resolve, 200));
      console.log(require('node:fs').readFileSync('/proc/self/maps', 'utf8').includes('libonnxruntime'));
    });
  `;
  const model = Buffer.from(slowGraph(2, 32)).toString('base64');
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', main, DIST, model], { timeout: 20_000 });
  expect(stdout).toBe('true\n');
});
