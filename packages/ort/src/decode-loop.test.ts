import { DECODER_TINY, decoder } from '@shoal/onnx-graph';
import { describe, expect, test } from 'vitest';
import type { OrtBackend, OrtBinding, OrtSession, OrtTensor } from './backend.ts';
import { loadOrt } from './load-ort.ts';

const { layers, kvHeads, headDim, vocab } = DECODER_TINY;
const MAX_LEN = 32;
const SLOTS = 4;

/**
 * The loop of README.md: slabs for all slots, one binding per batch size over views of the first slots, and a step
 * that is a few writes and one native call.
 */
class DecodeLoop {
  readonly #ort: OrtBackend;
  readonly #session: OrtSession;
  readonly #slabs = new Map<string, OrtTensor<'float32'>>();
  readonly #ids: OrtTensor<'int64'>;
  readonly #mask: OrtTensor<'int64'>;
  readonly #logits: OrtTensor<'float32'>;
  readonly #bindings = new Map<number, OrtBinding>();

  constructor(ort: OrtBackend, session: OrtSession) {
    this.#ort = ort;
    this.#session = session;
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        this.#slabs.set(`${layer}.${part}`, ort.allocate('float32', [SLOTS, kvHeads, MAX_LEN, headDim]));
      }
    }
    this.#ids = ort.allocate('int64', [SLOTS, 1]);
    this.#mask = ort.allocate('int64', [SLOTS, MAX_LEN]);
    this.#logits = ort.allocate('float32', [SLOTS, 1, vocab]);
  }

  /** Fills `slot` from a prompt (two tokens or more) and returns the logits after it. */
  async prefill(slot: number, prompt: readonly number[]): Promise<Float32Array> {
    using ids = this.#ort.allocate('int64', [1, prompt.length]);
    using mask = this.#ort.allocate('int64', [1, prompt.length]);
    ids.data.set(prompt.map(BigInt));
    mask.data.fill(1n);
    using binding = this.#session.createBinding();
    binding.bindInput('input_ids', ids);
    binding.bindInput('attention_mask', mask);
    binding.bindOutput('logits');
    this.#bindCache(binding, slot, 1);
    await binding.run();
    using logits = binding.output('logits');
    return Float32Array.from((logits.data as Float32Array).subarray((prompt.length - 1) * vocab));
  }

  /** One step of slots 0…tokens.length − 1, whose caches hold `lengths` tokens; a row of logits per slot. */
  async step(tokens: readonly number[], lengths: readonly number[]): Promise<Float32Array> {
    for (const [slot, token] of tokens.entries()) {
      this.#ids.data[slot] = BigInt(token);
      // Only the sum of a mask row matters to the model: the tokens in the cache and the new one.
      this.#mask.data[slot * MAX_LEN] = BigInt((lengths[slot] ?? 0) + 1);
    }
    await this.#binding(tokens.length).run();
    return this.#logits.data.subarray(0, tokens.length * vocab);
  }

  #binding(batch: number): OrtBinding {
    const known = this.#bindings.get(batch);
    if (known !== undefined) return known;
    const binding = this.#session.createBinding();
    binding.bindInput('input_ids', this.#ids.view(0, [batch, 1]));
    binding.bindInput('attention_mask', this.#mask.view(0, [batch, MAX_LEN]));
    binding.bindOutput('logits', this.#logits.view(0, [batch, 1, vocab]));
    this.#bindCache(binding, 0, batch);
    this.#bindings.set(batch, binding);
    return binding;
  }

  /** Binds the same memory as past and as present: the attention kernel appends to it in place. */
  #bindCache(binding: OrtBinding, firstSlot: number, batch: number): void {
    for (const [name, slab] of this.#slabs) {
      const view = slab.view(firstSlot * kvHeads * MAX_LEN * headDim, [batch, kvHeads, MAX_LEN, headDim]);
      binding.bindInput(`past_key_values.${name}`, view);
      binding.bindOutput(`present.${name}`, view);
    }
  }
}

const PROMPTS = [
  [5, 17, 3],
  [90, 1, 44, 44, 2, 8, 11],
  [127, 0],
  [33, 33, 33, 33, 9],
];

function argmax(logits: Float32Array): number {
  return logits.indexOf(Math.max(...logits));
}

/** Greedy generation of the prompts side by side: each step's logits per prompt. */
async function generate(loop: DecodeLoop, prompts: readonly number[][], steps: number): Promise<Float32Array[][]> {
  const history: Float32Array[][] = [];
  for (const [slot, prompt] of prompts.entries()) history.push([await loop.prefill(slot, prompt)]);
  for (let step = 0; step < steps; step++) {
    const tokens = history.map((rows) => argmax(rows.at(-1) ?? new Float32Array()));
    const lengths = prompts.map((prompt) => prompt.length + step);
    const logits = await loop.step(tokens, lengths);
    for (const [slot, rows] of history.entries()) rows.push(logits.slice(slot * vocab, (slot + 1) * vocab));
  }
  return history;
}

describe.each(['capi', 'node-binding'] as const)('a decode loop on the %s backend', (kind) => {
  test('a ragged batch decodes every row as if it were alone, bit for bit', async () => {
    const ort = await loadOrt({ backend: kind });
    using session = await ort.createSession(decoder(DECODER_TINY), { intraOpThreads: 1 });
    const together = await generate(new DecodeLoop(ort, session), PROMPTS, 12);
    for (const [i, prompt] of PROMPTS.entries()) {
      const [alone] = await generate(new DecodeLoop(ort, session), [prompt], 12);
      expect(together[i]).toEqual(alone);
    }
    const tokens = together.map((rows) => rows.map(argmax));
    expect(new Set(tokens.flat()).size).toBeGreaterThan(10);
  });

  test('a step in place equals a pass over the whole text', async () => {
    const ort = await loadOrt({ backend: kind });
    using session = await ort.createSession(decoder(DECODER_TINY), { intraOpThreads: 1 });
    const loop = new DecodeLoop(ort, session);
    await loop.prefill(0, [5, 17, 3]);
    const stepped = (await loop.step([80], [3])).slice();
    const whole = await new DecodeLoop(ort, session).prefill(0, [5, 17, 3, 80]);
    for (const [i, value] of whole.entries()) expect(stepped[i]).toBeCloseTo(value, 4);
  });
});

test('both backends compute the same bits', async () => {
  const [capi, node] = await Promise.all(
    (['capi', 'node-binding'] as const).map(async (backend) => {
      const ort = await loadOrt({ backend });
      using session = await ort.createSession(decoder(DECODER_TINY), { intraOpThreads: 1 });
      return await generate(new DecodeLoop(ort, session), PROMPTS, 6);
    }),
  );
  expect(capi).toEqual(node);
});
