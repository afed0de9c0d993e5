import { loadOrt, type OrtTensor } from '@shoal/ort';
import { beforeEach, describe, expect, it } from 'vitest';
import { CacheTensors } from '../model-runner/concat/cache-tensors.ts';
import { RowCache } from '../model-runner/concat/row-cache.ts';
import type { GraphSignature } from '../model-runner/graph-signature.ts';
import { KvSlabs } from './kv-slabs.ts';

/** 64 bytes a position, 64 positions a page of 4 KiB, and four such pages a head. */
const [HEADS, SIZE, LENGTH, PAGE] = [2, 16, 256, 64];
const SIGNATURE: GraphSignature = {
  layers: [{ pastKey: 'past.key', pastValue: 'past.value', presentKey: 'key', presentValue: 'value' }],
  kvHeads: HEADS,
  headSize: SIZE,
  cacheType: 'float32',
  logitsType: 'float32',
  vocabSize: 1,
  positionIds: false,
  logitsIndex: false,
  useCacheBranch: false,
};

let slabs: KvSlabs;
/** Calls to give memory back, of all tensors. */
let calls: number;

beforeEach(async () => {
  const ort = await loadOrt({ backend: 'capi' });
  slabs = new KvSlabs({
    signature: SIGNATURE,
    slots: 3,
    length: LENGTH,
    allocate: (type, shape) => {
      const tensor: OrtTensor = ort.allocate(type, shape);
      const adviseFree = tensor.adviseFree.bind(tensor);
      tensor.adviseFree = (...range) => {
        calls += 1;
        return adviseFree(...range);
      };
      return tensor;
    },
  });
  calls = 0;
  return () => slabs.dispose();
});

/** A pass over positions `from` … `to − 1` of a row. */
function pass(row: number, from: number, to: number): void {
  slabs.notePass({ first: row, rows: 1, past: from, total: to });
  write(row, from, to);
}

function step(pasts: readonly number[]): void {
  slabs.noteStep(pasts);
  for (const [row, past] of pasts.entries()) write(row, past, past + 1);
}

function write(row: number, from: number, to: number): void {
  for (const { tensor } of slabs.tensors) {
    for (let head = 0; head < HEADS; head++) {
      const start = (row * HEADS + head) * LENGTH;
      if (tensor.data instanceof Float32Array) tensor.data.fill(1, (start + from) * SIZE, (start + to) * SIZE);
    }
  }
}

/** Positions of a row that hold anything, in all heads of all tensors: pages that were given back are read as zeros. */
function held(row: number): number {
  const [most = 0, ...others] = slabs.tensors.flatMap(({ tensor }) =>
    Array.from({ length: HEADS }, (_, head) => {
      const start = (row * HEADS + head) * LENGTH;
      const positions = Array.from({ length: LENGTH }, (_, position) => tensor.data[(start + position) * SIZE]);
      return positions.filter((value) => value !== 0).length;
    }),
  );
  expect(others.every((other) => other === most)).toBe(true);
  return most;
}

// Pages of 4 KiB, which other processors need not have.
describe.runIf(process.platform === 'linux' && process.arch === 'x64')('the memory of a row', () => {
  it('is that of the shorter one once that has moved there', () => {
    pass(0, 0, 250);
    pass(1, 0, 20);
    slabs.copyRow(1, 0, 20);
    expect(held(0)).toBe(PAGE);
    expect(held(1)).toBe(20);
  });

  it('is that of the prompt that begins there, however long the one before was', () => {
    pass(0, 0, 250);
    pass(0, 0, 70);
    expect(held(0)).toBe(2 * PAGE);
    pass(0, 70, 90);
    step([90]);
    expect(held(0)).toBe(2 * PAGE);
  });

  it('counts what decode steps have added', () => {
    pass(0, 0, 10);
    pass(1, 0, 10);
    for (let past = 10; past < 200; past++) step([past]);
    slabs.copyRow(1, 0, 10);
    expect(held(0)).toBe(PAGE);
  });

  it('is none where nobody owns it', () => {
    pass(0, 0, 250);
    step([250]);
    slabs.giveBack(0, 0);
    expect(held(0)).toBe(0);
    pass(0, 0, 3);
    slabs.giveBack(0, 0);
    expect(held(0)).toBe(0);
  });

  it('is given back without a call where there is no page to give', () => {
    pass(0, 0, 100);
    pass(1, 0, 90);
    slabs.copyRow(1, 0, 90);
    slabs.copyRow(0, 2, 90);
    slabs.giveBack(1, 65);
    pass(0, 0, 110);
    expect(calls).toBe(0);
    slabs.giveBack(1, 0);
    const once = calls;
    expect(once).toBe(2 * HEADS);
    slabs.giveBack(1, 0);
    expect(calls).toBe(once);
  });
});

// Reserved, not touched: what is written takes a few pages.
describe('slabs of more than 4 GiB, which is more than an array can show', () => {
  /** 512 MiB a row: the last of nine rows begins at 4 GiB. */
  const [LONG, LAST] = [2 ** 22, 8];
  let large: KvSlabs;

  beforeEach(async () => {
    const ort = await loadOrt({ backend: 'capi' });
    large = new KvSlabs({
      signature: SIGNATURE,
      slots: LAST + 1,
      length: LONG,
      allocate: (type, shape) => ort.allocate(type, shape),
    });
    return () => large.dispose();
  });

  /** The elements of position 0 of a head, in each slab. */
  function first(row: number, head: number): Float32Array[] {
    return large.tensors.map(({ tensor }) => {
      using view = tensor.view((row * HEADS + head) * LONG * SIZE, [SIZE]);
      if (!(view.data instanceof Float32Array)) throw new Error('no float32');
      return view.data;
    });
  }

  it('copy their rows', () => {
    for (const [slab, elements] of first(LAST, 1).entries()) elements.fill(5 + slab);
    large.copyRow(LAST, 0, 1);
    expect(first(0, 1).map(([value]) => value)).toEqual([5, 6]);
    first(0, 1)[0]?.fill(7);
    large.copyRow(0, LAST, 1);
    expect(first(LAST, 1).map(([value]) => value)).toEqual([7, 6]);
  });

  it('give and take the rows of a pass', async () => {
    const ort = await loadOrt({ backend: 'capi' });
    using pass = ort.allocate('float32', [2, HEADS, 3, SIZE]);
    const tensors = new CacheTensors(3, [pass, pass]);
    const cache = new RowCache(large, SIGNATURE);
    pass.data.fill(9);
    cache.store(tensors, 1, 2, 1, LAST, 0);
    expect(first(LAST, 1).map(([value]) => value)).toEqual([9, 9]);
    cache.load(LAST, 1, tensors, 0);
    const positions = Array.from({ length: 2 * 3 }, (_, position) => pass.data[position * SIZE]);
    expect(positions).toEqual([9, 0, 0, 9, 0, 0]);
  });
});
