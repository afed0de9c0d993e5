import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExternalDataFile, GraphBuilder } from '@shoal/onnx-graph';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OrtBackend, OrtSession, WeightRange } from '../backend.ts';
import { loadOrt } from '../load-ort.ts';

/** 64 MiB of weights in a file, and a graph that multiplies by them. */
const WIDTH = 4096;
const BYTES = 4 * WIDTH * WIDTH;

let folder: string;
let graph: Uint8Array;
let weight: WeightRange;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-shared-'));
  const path = join(folder, 'weights');
  const file = new ExternalDataFile(path);
  const g = new GraphBuilder({ name: 'product' });
  const x = g.input('x', 'float32', ['n', WIDTH]);
  const w = g.initializer('w', 'float32', [WIDTH, WIDTH], new Float32Array(WIDTH * WIDTH).fill(0.5), file);
  g.node('MatMul', [x, w], { outputs: ['y'] });
  g.output('y', 'float32', ['n', WIDTH]);
  file.close();
  graph = g.toBytes();
  weight = { name: 'w', type: 'float32', shape: [WIDTH, WIDTH], path, offset: 0 };
});
afterAll(() => rmSync(folder, { recursive: true }));

async function firstOf(ort: OrtBackend, session: OrtSession): Promise<number | bigint | undefined> {
  using x = ort.allocate('float32', [1, WIDTH]);
  x.data.fill(2);
  const { y } = await session.run({ x });
  const [first] = y?.data ?? [];
  y?.dispose();
  return first;
}

/** Bytes of this process that are no file's, by the kernel's account. */
function ownBytes(): number {
  return 1024 * Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

describe.runIf(process.platform !== 'win32')('weights that sessions share', () => {
  test('are the same for both, and outlive their handle until the last session is gone', async () => {
    const ort = await loadOrt({ backend: 'capi' });
    const sharedWeights = ort.shareWeights([weight]);
    const make = () => ort.createSession(graph, { intraOpThreads: 1, externalDataFolder: folder, sharedWeights });
    const one = await make();
    const before = process.platform === 'linux' ? ownBytes() : 0;
    const two = await make();
    // Packed once more, the weights would take their size again.
    if (process.platform === 'linux') expect(ownBytes() - before).toBeLessThan(BYTES / 2);
    sharedWeights.settle();
    sharedWeights.dispose();
    sharedWeights.dispose();
    expect(await firstOf(ort, one)).toBe(WIDTH);
    one.dispose();
    expect(await firstOf(ort, two)).toBe(WIDTH);
    two.dispose();
    await expect(make()).rejects.toThrow(/disposed/);
  });

  test('must lie within their file', async () => {
    const ort = await loadOrt({ backend: 'capi' });
    expect(() => ort.shareWeights([{ ...weight, offset: 8 }])).toThrow(/w takes bytes 8 to/);
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    expect(() => ort.shareWeights([{ ...weight, path: empty }])).toThrow();
  });
});

test("onnxruntime-node's own sessions have none", async () => {
  const ort = await loadOrt({ backend: 'node-binding' });
  expect(ort.capabilities.sharedWeights).toBe(false);
  expect(() => ort.shareWeights([weight])).toThrow(/cannot share/);
});
