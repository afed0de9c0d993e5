import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { DECODER_135M, DECODER_TINY, type DecoderOptions, decoder, ExternalDataFile } from '@shoal/onnx-graph';

export type BenchDtype = 'fp32' | 'q4';

/** A decoder with random weights, in the layout of a Hugging Face model directory. */
export interface BenchModel {
  readonly name: string;
  readonly directory: string;
  readonly graph: string;
  readonly shape: DecoderOptions;
  readonly dtype: BenchDtype;
}

/** A change of what is built needs another version, so that no old file is measured. */
const VERSION = 2;

const SHAPES: Readonly<Record<string, Readonly<DecoderOptions>>> = {
  '135m': DECODER_135M,
  tiny: { ...DECODER_TINY, vocab: 512, maxLen: 2048 },
};

/** `SHOAL_BENCH_CACHE`, or a folder of the user's cache: weights are large and never committed. */
function cacheFolder(): string {
  return process.env.SHOAL_BENCH_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'shoal-bench');
}

/** The model, built on first use. */
export function benchModel(shapeName: '135m' | 'tiny', dtype: BenchDtype): BenchModel {
  const shape = SHAPES[shapeName] ?? DECODER_TINY;
  const name = `${shapeName}-${dtype}`;
  const directory = join(cacheFolder(), `${name}-v${VERSION}`);
  const graph = join(directory, 'onnx', dtype === 'fp32' ? 'model.onnx' : `model_${dtype}.onnx`);
  if (!existsSync(graph)) build(directory, graph, shape, dtype);
  return { name, directory, graph, shape, dtype };
}

/** Builds beside the final place and moves it there when it is whole. */
function build(directory: string, graph: string, shape: DecoderOptions, dtype: BenchDtype): void {
  const draft = `${directory}.${process.pid}`;
  const draftGraph = graph.replace(directory, draft);
  mkdirSync(join(draft, 'onnx'), { recursive: true });
  const externalData = new ExternalDataFile(`${draftGraph}_data`);
  const bytes = decoder({ ...shape, dtype, externalData });
  externalData.close();
  writeFileSync(draftGraph, bytes);
  for (const [name, content] of Object.entries(descriptions(shape))) {
    writeFileSync(join(draft, name), JSON.stringify(content));
  }
  rmSync(directory, { recursive: true, force: true });
  renameSync(draft, directory);
}

function descriptions(shape: DecoderOptions): Record<string, unknown> {
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: shape.vocab,
    max_position_embeddings: shape.maxLen,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    hidden_size: shape.hidden,
    head_dim: shape.headDim,
    intermediate_size: shape.intermediate,
    eos_token_id: null,
    bos_token_id: null,
    'transformers.js_config': { dtype: 'fp32', use_external_data_format: true },
  };
  return { 'config.json': config, 'tokenizer.json': tokenizer(shape.vocab), 'tokenizer_config.json': {} };
}

/** A byte-level vocabulary filled up with made-up words to the model's size: benches give token ids, never text. */
function tokenizer(vocab: number): unknown {
  const words = Array.from({ length: vocab }, (_, id) => [id < 256 ? byteCharacter(id) : `w${id}`, id]);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', byte_fallback: false, unk_token: null, vocab: Object.fromEntries(words), merges: [] },
  };
}

/** GPT-2's printable stand-ins for the bytes. */
function byteCharacter(byte: number): string {
  const printable = (code: number): boolean =>
    (code >= 33 && code <= 126) || (code >= 161 && code <= 172) || code >= 174;
  if (printable(byte)) return String.fromCharCode(byte);
  return String.fromCharCode(
    256 + Array.from({ length: byte }, (_, code) => code).filter((code) => !printable(code)).length,
  );
}
