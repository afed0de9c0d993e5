import {
  concatDecoder,
  DECODER_TINY,
  type DecoderOptions,
  decoder,
  GraphBuilder,
  randomWeights,
} from '@shoal/onnx-graph';
import { loadOrt, type OrtBackend } from '@shoal/ort';
import { describe, expect, it } from 'vitest';
import { backendWith } from '../../testing/backend-with.ts';
import { readSignature } from '../graph-signature.ts';
import type { ModelRunner } from '../model-runner.ts';
import { OrtRunner } from '../ort-runner.ts';
import { ConcatRunner } from './concat-runner.ts';
import { blockLength, blockStart, MOST_PADDING, paddedPast } from './pass-shapes.ts';
import { settlePadding } from './settle-padding.ts';

const SHAPE: DecoderOptions = { ...DECODER_TINY, maxLen: 256 };

async function runner(graph: Uint8Array, kind: 'concat' | 'in-place' = 'concat', slots = 4): Promise<ModelRunner> {
  const ort = await loadOrt();
  const session = await ort.createSession(graph, { intraOpThreads: 1 });
  const signature = readSignature(session.inputs, session.outputs);
  const options = { ort, session, signature, slots, maxLength: 200, contextLength: 256, intraOpThreads: 1 };
  return kind === 'concat' ? new ConcatRunner(options) : new OrtRunner(options);
}

const concat = async (graph: Uint8Array, slots = 4): Promise<ConcatRunner> => {
  const made = await runner(graph, 'concat', slots);
  if (!(made instanceof ConcatRunner)) throw new Error('not a ConcatRunner');
  return made;
};

const tokens = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => (seed * 31 + i * 37) % 128);

const difference = (some: Float32Array, others: Float32Array): number =>
  some.reduce((most, value, id) => Math.max(most, Math.abs(value - (others[id] ?? Number.NaN))), 0);

/** Counts the positions of keys or values, of all tensors `[rows, heads, positions, size]` that exist. */
function watchCaches(ort: OrtBackend): { live: { positions: number; most: number }; watching: OrtBackend } {
  const live = { positions: 0, most: 0 };
  const allocate: OrtBackend['allocate'] = (type, shape) => {
    const tensor = ort.allocate(type, shape);
    const [rows = 0, , positions = 0] = shape.length === 4 ? shape : [];
    live.positions += rows * positions;
    live.most = Math.max(live.most, live.positions);
    let counted = true;
    const dispose = tensor.dispose.bind(tensor);
    tensor.dispose = () => {
      if (counted) live.positions -= rows * positions;
      counted = false;
      dispose();
    };
    return tensor;
  };
  return { live, watching: backendWith(ort, { allocate }) };
}

describe('ConcatRunner', () => {
  it('computes what the same model computes in place, over block and bucket boundaries', async () => {
    const [grown, inPlace] = [await concat(concatDecoder(SHAPE)), await runner(decoder(SHAPE), 'in-place')];
    const prompts = [tokens(1, 61), tokens(2, 130), tokens(3, 1), tokens(4, 32)];
    const pairs = async (compute: (runner: ModelRunner) => ReturnType<ModelRunner['prefill']>): Promise<number> => {
      const [got, wanted] = [await compute(grown), await compute(inPlace)];
      const rows = Array.from({ length: wanted.rows }, (_, row) => difference(got.logits(row), wanted.logits(row)));
      return Math.max(...rows);
    };
    expect(await pairs((one) => one.prefill(0, prompts))).toBeLessThan(1e-4);
    expect(await pairs((one) => one.extend(1, 130, tokens(5, 40)))).toBeLessThan(1e-4);
    const lengths = [61, 170, 1, 32];
    for (let step = 0; step < 6; step++) {
      const pasts = lengths.map((length) => length + step);
      expect(await pairs((one) => one.decode([step, 7, 8, 9], pasts, 0))).toBeLessThan(1e-4);
    }
    await grown.close();
    await inPlace.close();
  });

  it('leaves nothing of a sequence that was no numbers to the next in its row', async () => {
    const random = randomWeights(1);
    const poison = 100;
    const graph = concatDecoder({
      ...SHAPE,
      weights: (name, shape, deviation) => {
        const values = random(name, shape, deviation);
        return name.includes('embed') ? values.fill(Number.NaN, poison * 64, (poison + 1) * 64) : values;
      },
    });
    const one = await concat(graph);
    const use = async (): Promise<number[]> => {
      await one.prefill(0, [tokens(1, 5)]);
      return [...(await one.decode([3], [5])).logits(0)];
    };
    const expected = await use();
    const poisoned = await one.prefill(0, [[...tokens(2, 20), poison]]);
    expect(poisoned.logits(0)[0]).toBeNaN();
    expect((await one.decode([4], [21])).logits(0)[0]).toBeNaN();
    one.freeSlot(0);
    expect(await use()).toEqual(expected);
    await one.close();
  });

  it('decodes rows whose padded lengths differ in one step, and those that leave and come', async () => {
    const one = await concat(concatDecoder(SHAPE));
    const prompts = [tokens(1, 10), tokens(2, 100), tokens(3, 20), tokens(4, 101)];
    const expected: number[][][] = [];
    for (const prompt of prompts) {
      await one.prefill(0, [prompt]);
      const first = [...(await one.decode([5], [prompt.length])).logits(0)];
      expected.push([first, [...(await one.decode([6], [prompt.length + 1])).logits(0)]]);
    }
    await one.prefill(0, prompts);
    const all = await one.decode([5, 5, 5, 5], [10, 100, 20, 101]);
    for (const [row, wanted] of expected.entries()) expect([...all.logits(row)]).toEqual(wanted[0]);
    // The first leaves: the last takes its row.
    one.copySlot(3, 0, 102);
    one.freeSlot(3);
    const rest = await one.decode([6, 6, 6], [102, 101, 21]);
    expect([0, 1, 2].map((row) => [...rest.logits(row)])).toEqual([3, 1, 2].map((row) => expected[row]?.[1]));
    await one.close();
  });

  it('does not take the next sequence in a row for the one before, though as long', async () => {
    const one = await concat(concatDecoder(SHAPE));
    await one.prefill(0, [tokens(2, 11)]);
    const expected = [...(await one.decode([5], [11])).logits(0)];
    await one.prefill(0, [tokens(1, 10)]);
    await one.decode([5], [10]);
    await one.prefill(0, [tokens(2, 11)]);
    expect([...(await one.decode([5], [11])).logits(0)]).toEqual(expected);
    await one.close();
  });

  it('holds no more copies of the cache than are budgeted: two beside the rows themselves, of rows that run', async () => {
    const ort = await loadOrt();
    const session = await ort.createSession(concatDecoder(SHAPE), { intraOpThreads: 1 });
    const signature = readSignature(session.inputs, session.outputs);
    const { live, watching } = watchCaches(ort);
    const one = new ConcatRunner({ ort: watching, session, signature, slots: 4, maxLength: 200, intraOpThreads: 1 });
    const rows = live.positions;
    const beside = (): number => (live.positions - rows) / (2 * SHAPE.layers);
    const budget = (lengths: readonly number[]): number =>
      lengths.reduce((sum, length) => sum + 2 * (length + MOST_PADDING), 0);
    const within = async (lengths: readonly number[], run: () => Promise<unknown>): Promise<void> => {
      live.most = live.positions;
      await run();
      expect((live.most - rows) / (2 * SHAPE.layers)).toBeLessThanOrEqual(budget(lengths));
    };
    const lengths = [63, 64, 63, 64];
    await within(lengths, () =>
      one.prefill(
        0,
        lengths.map((length, i) => tokens(i, length)),
      ),
    );
    // Rows come to the next length one after the other, then all together.
    for (let step = 0; step < 3; step++) {
      const pasts = lengths.map((length) => length + step);
      await within(pasts, () => one.decode([1, 2, 3, 4], pasts));
    }
    // The first leaves, the last takes its row, and another comes in before anybody decodes.
    one.copySlot(3, 0, 67);
    await within([67, 67, 66, 100], () => one.prefill(3, [tokens(9, 100)]));
    await within([67, 67, 66, 100], () => one.decode([1, 2, 3, 4], [67, 67, 66, 100]));
    for (const slot of [0, 1, 2, 3]) one.freeSlot(slot);
    expect(beside()).toBe(0);
    await one.close();
    expect(live.positions).toBe(0);
  });

  it('refuses to go on behind positions that no prefill computed', async () => {
    const one = await concat(concatDecoder(SHAPE));
    await one.prefill(0, [tokens(1, 5)]);
    await one.decode([1], [5]);
    await expect(one.extend(0, 6, [1, 2])).rejects.toThrow('row 0 holds 5 positions of a prefill, not 6');
    await one.close();
  });

  it('tells a merged graph whether there is a cache', async () => {
    const g = new GraphBuilder({ name: 'merged' });
    const ids = g.input('input_ids', 'int64', ['b', 's']);
    g.input('attention_mask', 'int64', ['b', 't']);
    const flag = g.input('use_cache_branch', 'bool', [1]);
    const toFloat = { attributes: { to: { int: 1 } } };
    const column = g.node('Unsqueeze', [g.node('Cast', [ids], toFloat), g.int64('last', [-1])]);
    const zero = g.node('Mul', [column, g.initializer('none', 'float32', [1, 1, 8], new Float32Array(8))]);
    g.node('Add', [zero, g.node('Cast', [flag], toFloat)], { outputs: ['logits'] });
    g.output('logits', 'float32', ['b', 's', 8]);
    const fresh = g.node('Unsqueeze', [column, g.int64('heads', [1])]);
    for (const part of ['key', 'value']) {
      const past = g.input(`past_key_values.0.${part}`, 'float32', ['b', 1, 'p', 1]);
      const outputs = [`present.0.${part}`];
      g.output(g.node('Concat', [past, fresh], { attributes: { axis: { int: 2 } }, outputs }), 'float32', [
        'b',
        1,
        't',
        1,
      ]);
    }
    const one = await concat(g.toBytes());
    expect((await one.prefill(0, [[1, 2, 3]])).logits(0)[0]).toBe(0);
    expect((await one.decode([4], [3])).logits(0)[0]).toBe(1);
    expect((await one.prefill(0, [tokens(1, 40)])).logits(0)[0]).toBe(1);
    await one.close();
  });
});

describe('whether caches may be padded', () => {
  it('is found out by computing: yes where a hidden column does not count', async () => {
    const one = await concat(concatDecoder(SHAPE));
    await settlePadding(one);
    expect(one.padsCache).toBe(true);
    await one.close();
  });

  it('no where positions are counted from the length of the cache', async () => {
    const one = await concat(concatDecoder({ ...SHAPE, positionIds: false }));
    expect(one.padsCache).toBe(false);
    one.padsCache = true;
    await settlePadding(one);
    expect(one.padsCache).toBe(false);
    await one.close();
  });
});

describe('the shapes of passes', () => {
  it('follow from positions alone: blocks of 32 that end with the context', () => {
    expect([0, 31, 32, 70].map(blockStart)).toEqual([0, 0, 32, 64]);
    expect([0, 32, 64].map((start) => blockLength(start, 70))).toEqual([32, 32, 6]);
  });

  it('pad caches to a multiple of 64, and leave room for the new position', () => {
    expect([1, 64, 65, 128, 199].map((past) => paddedPast(past, 200))).toEqual([64, 64, 128, 128, 199]);
  });
});
