import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BenchModel } from '../bench-model.ts';
import { type GgufDtype, writeGguf } from '../gguf.ts';
import type { Work } from './engine-load.ts';

/** The part of node-llama-cpp that is used: it is installed apart (bench/peers), so its own types are not at hand. */
interface NodeLlamaCpp {
  getLlama(options: { gpu: false; build: 'never'; maxThreads: number; logLevel: 'error' }): Promise<Llama>;
}
interface Llama {
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}
interface LlamaModel {
  createContext(options: {
    contextSize: number;
    sequences: number;
    batchSize: number;
    threads: number;
  }): Promise<LlamaContext>;
}
interface LlamaContext {
  getSequence(): LlamaSequence;
}
export interface LlamaSequence {
  evaluate(tokens: number[], options: { temperature: number; yieldEogToken: true }): AsyncIterable<number>;
  clearHistory(): Promise<void>;
}

export interface LlamaOptions {
  readonly threads: number;
  /** Sequences side by side. */
  readonly sequences: number;
  /** Positions per sequence. */
  readonly length: number;
}

const FOLDER = join(import.meta.dirname, '..', '..', 'peers', 'node_modules', 'node-llama-cpp');

/** llama.cpp through node-llama-cpp, which batches the sequences of one context by itself. */
export class LlamaCpp {
  readonly #llama: Llama;
  readonly #sequences: readonly LlamaSequence[];

  /** Its version, or undefined where bench/peers is not installed. */
  static version(): string | undefined {
    if (!existsSync(FOLDER)) return undefined;
    return (JSON.parse(readFileSync(join(FOLDER, 'package.json'), 'utf8')) as { version: string }).version;
  }

  static async load(model: BenchModel, dtype: GgufDtype, options: LlamaOptions): Promise<LlamaCpp> {
    const path = join(model.directory, `${dtype}.gguf`);
    if (!existsSync(path)) {
      writeGguf(`${path}.${process.pid}`, model.shape, dtype);
      renameSync(`${path}.${process.pid}`, path);
    }
    const { getLlama } = (await import(pathToFileURL(join(FOLDER, 'dist', 'index.js')).href)) as NodeLlamaCpp;
    const llama = await getLlama({ gpu: false, build: 'never', maxThreads: options.threads, logLevel: 'error' });
    const loaded = await llama.loadModel({ modelPath: path });
    const context = await loaded.createContext({
      contextSize: options.length,
      sequences: options.sequences,
      batchSize: 512,
      threads: options.threads,
    });
    return new LlamaCpp(
      llama,
      Array.from({ length: options.sequences }, () => context.getSequence()),
    );
  }

  private constructor(llama: Llama, sequences: readonly LlamaSequence[]) {
    this.#llama = llama;
    this.#sequences = sequences;
  }

  /** Sequences of the context, each for one answer at a time. */
  get sequences(): readonly LlamaSequence[] {
    return this.#sequences;
  }

  /** The tokens of one answer on a sequence that is free, greedy. */
  async *generate(sequence: LlamaSequence, { prompt, maxTokens }: Work): AsyncGenerator<number> {
    await sequence.clearHistory();
    let generated = 0;
    for await (const token of sequence.evaluate([...prompt], { temperature: 0, yieldEogToken: true })) {
      yield token;
      generated += 1;
      if (generated === maxTokens) return;
    }
  }

  /** Tokens per second of the answers, greedy; a sequence that is done takes the next request. */
  async tokensPerSecond(works: readonly Work[]): Promise<number> {
    const start = performance.now();
    let [next, tokens] = [0, 0];
    const serve = async (sequence: LlamaSequence): Promise<void> => {
      for (let index = next++; index < works.length; index = next++) {
        for await (const _ of this.generate(sequence, works[index] as Work)) tokens += 1;
      }
    };
    await Promise.all(this.#sequences.map(serve));
    return (1000 * tokens) / (performance.now() - start);
  }

  close(): Promise<void> {
    return this.#llama.dispose();
  }
}
