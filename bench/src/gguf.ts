import { closeSync, openSync, writeSync } from 'node:fs';
import type { DecoderOptions } from '@shoal/onnx-graph';
import { random } from './random.ts';

/** Element types of llama.cpp's files: 32-bit floats, or blocks of 32 numbers in 8 or 4 bits under one 16-bit scale. */
export type GgufDtype = 'f32' | 'q8_0' | 'q4_0';

/** `GGUF_TYPE_*` and `GGML_TYPE_*` (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). */
const VALUE = { uint32: 4, int32: 5, float32: 6, string: 8, array: 9 };
const TENSOR = { f32: 0, q4_0: 2, q8_0: 8 };
const ALIGNMENT = 32;
const BLOCK = 32;

interface TensorPlan {
  readonly name: string;
  /** Innermost dimension first. */
  readonly shape: readonly number[];
  readonly dtype: GgufDtype;
  readonly offset: number;
  readonly bytes: number;
}

/** Writes a decoder of the given shape with random weights for llama.cpp. */
export function writeGguf(path: string, shape: DecoderOptions, dtype: GgufDtype): void {
  const tensors = plan(shape, dtype);
  const header = headerOf(shape, tensors);
  const descriptor = openSync(path, 'w');
  const base = align(header.byteLength);
  writeSync(descriptor, header, 0, header.byteLength, 0);
  const next = random(1);
  for (const tensor of tensors) {
    const data = tensor.dtype === 'f32' ? floats(tensor, next) : blocks(tensor, next);
    writeSync(descriptor, data, 0, data.byteLength, base + tensor.offset);
  }
  closeSync(descriptor);
}

function plan(o: DecoderOptions, dtype: GgufDtype): TensorPlan[] {
  const [width, kvWidth] = [o.heads * o.headDim, o.kvHeads * o.headDim];
  const shapes: [string, number[]][] = [
    ['token_embd.weight', [o.hidden, o.vocab]],
    ['output_norm.weight', [o.hidden]],
    ['output.weight', [o.hidden, o.vocab]],
  ];
  for (let layer = 0; layer < o.layers; layer++) {
    const block = `blk.${layer}`;
    shapes.push(
      [`${block}.attn_norm.weight`, [o.hidden]],
      [`${block}.attn_q.weight`, [o.hidden, width]],
      [`${block}.attn_k.weight`, [o.hidden, kvWidth]],
      [`${block}.attn_v.weight`, [o.hidden, kvWidth]],
      [`${block}.attn_output.weight`, [width, o.hidden]],
      [`${block}.ffn_norm.weight`, [o.hidden]],
      [`${block}.ffn_gate.weight`, [o.hidden, o.intermediate]],
      [`${block}.ffn_up.weight`, [o.hidden, o.intermediate]],
      [`${block}.ffn_down.weight`, [o.intermediate, o.hidden]],
    );
  }
  let offset = 0;
  return shapes.map(([name, shape]) => {
    // Norms stay in 32 bits whatever the rest is.
    const own = shape.length === 1 ? 'f32' : dtype;
    const elements = shape.reduce((product, size) => product * size, 1);
    const bytes = own === 'f32' ? 4 * elements : (elements / BLOCK) * blockBytes(own);
    const tensor = { name, shape, dtype: own, offset, bytes } as const;
    offset = align(offset + bytes);
    return tensor;
  });
}

function headerOf(o: DecoderOptions, tensors: readonly TensorPlan[]): Uint8Array {
  const entries: Uint8Array[] = [
    text('general.architecture', 'llama'),
    integer('llama.context_length', o.maxLen),
    integer('llama.embedding_length', o.hidden),
    integer('llama.block_count', o.layers),
    integer('llama.feed_forward_length', o.intermediate),
    integer('llama.attention.head_count', o.heads),
    integer('llama.attention.head_count_kv', o.kvHeads),
    integer('llama.rope.dimension_count', o.headDim),
    integer('llama.vocab_size', o.vocab),
    entry('llama.attention.layer_norm_rms_epsilon', VALUE.float32, new Uint8Array(Float32Array.of(1e-5).buffer)),
    text('tokenizer.ggml.model', 'llama'),
    array(
      'tokenizer.ggml.tokens',
      VALUE.string,
      o.vocab,
      Array.from({ length: o.vocab }, (_, id) => string(tokenOf(id))),
    ),
    array('tokenizer.ggml.scores', VALUE.float32, o.vocab, [new Uint8Array(new Float32Array(o.vocab).buffer)]),
    array('tokenizer.ggml.token_type', VALUE.int32, o.vocab, [
      new Uint8Array(Int32Array.from({ length: o.vocab }, (_, id) => tokenType(id)).buffer),
    ]),
    integer('tokenizer.ggml.bos_token_id', 1),
    integer('tokenizer.ggml.eos_token_id', 2),
  ];
  const infos = tensors.map(({ name, shape, dtype, offset }) =>
    join([string(name), uint32(shape.length), ...shape.map(uint64), uint32(TENSOR[dtype]), uint64(offset)]),
  );
  const magic = new TextEncoder().encode('GGUF');
  return join([magic, uint32(3), uint64(tensors.length), uint64(entries.length), ...entries, ...infos]);
}

/** SentencePiece's order: unknown, begin, end, the 256 bytes, then words. */
function tokenOf(id: number): string {
  if (id < 3) return ['<unk>', '<s>', '</s>'][id] ?? '';
  return id < 259 ? `<0x${(id - 3).toString(16).toUpperCase().padStart(2, '0')}>` : `w${id}`;
}

/** `llama_token_type`: 1 normal, 2 unknown, 3 control, 6 byte. */
function tokenType(id: number): number {
  if (id < 3) return id === 0 ? 2 : 3;
  return id < 259 ? 6 : 1;
}

function floats({ bytes, shape }: TensorPlan, next: () => number): Uint8Array {
  const values = new Float32Array(bytes / 4);
  // Norms are ones; matrices are uniform with a deviation of 1 / √inner size.
  const scale = Math.sqrt(12) / Math.sqrt(shape[0] ?? 1);
  for (let i = 0; i < values.length; i++) values[i] = shape.length === 1 ? 1 : (next() - 0.5) * scale;
  return new Uint8Array(values.buffer);
}

/** Blocks of random bytes: each is a number of 8 bits, or two of 4 bits. */
function blocks({ bytes, shape, dtype }: TensorPlan, next: () => number): Uint8Array {
  const data = new Uint8Array(bytes);
  const view = new DataView(data.buffer);
  const levels = dtype === 'q4_0' ? 15 : 255;
  const scale = halfBits(Math.sqrt(12) / Math.sqrt(shape[0] ?? 1) / levels);
  const size = blockBytes(dtype);
  for (let start = 0; start < bytes; start += size) {
    view.setUint16(start, scale, true);
    for (let i = 2; i < size; i++) data[start + i] = Math.floor(next() * 256);
  }
  return data;
}

function blockBytes(dtype: GgufDtype): number {
  return 2 + (dtype === 'q4_0' ? BLOCK / 2 : BLOCK);
}

/** Bits of a positive number as float16, truncated; enough for a scale between 2^−14 and 2^15. */
export function halfBits(value: number): number {
  const exponent = Math.floor(Math.log2(value));
  return ((exponent + 15) << 10) | Math.floor((value / 2 ** exponent - 1) * 1024);
}

function align(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

function uint32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function uint64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

function string(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return join([uint64(bytes.byteLength), bytes]);
}

function entry(key: string, type: number, value: Uint8Array): Uint8Array {
  return join([string(key), uint32(type), value]);
}

function integer(key: string, value: number): Uint8Array {
  return entry(key, VALUE.uint32, uint32(value));
}

function text(key: string, value: string): Uint8Array {
  return entry(key, VALUE.string, string(value));
}

function array(key: string, type: number, count: number, values: readonly Uint8Array[]): Uint8Array {
  return entry(key, VALUE.array, join([uint32(type), uint64(count), ...values]));
}
