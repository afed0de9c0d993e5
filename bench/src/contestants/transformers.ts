import { basename, dirname } from 'node:path';
import { AutoModelForCausalLM, env, type PreTrainedModel, Tensor } from '@huggingface/transformers';
import type { BenchModel } from '../bench-model.ts';
import type { Work } from './engine-load.ts';

/**
 * `@huggingface/transformers` on the same files. For mixed lengths it pads on the left, which decoders with
 * GroupQueryAttention answer wrongly without a word; so the prompts of one length make a batch each, its best form
 * that is correct. A batch runs until its longest answer is complete.
 */
export class Transformers {
  readonly #model: PreTrainedModel;

  static async load(model: BenchModel, threads: number): Promise<Transformers> {
    env.allowRemoteModels = false;
    env.localModelPath = dirname(model.directory);
    const loaded = await AutoModelForCausalLM.from_pretrained(basename(model.directory), {
      dtype: model.dtype,
      device: 'cpu',
      session_options: { intraOpNumThreads: threads, logSeverityLevel: 3 },
    });
    return new Transformers(loaded);
  }

  private constructor(model: PreTrainedModel) {
    this.#model = model;
  }

  /** Tokens per second of the answers, greedy. */
  async tokensPerSecond(works: readonly Work[]): Promise<number> {
    const start = performance.now();
    let tokens = 0;
    for (const group of byLength(works)) {
      await this.#generate(group);
      tokens += group.reduce((sum, { maxTokens }) => sum + maxTokens, 0);
    }
    return (1000 * tokens) / (performance.now() - start);
  }

  /** The answer to one prompt, to compare with. */
  async answer(work: Work): Promise<number[]> {
    const sequences = await this.#generate([work]);
    return Array.from(sequences.data as BigInt64Array, Number).slice(work.prompt.length);
  }

  /** The answers to prompts of one length, in one batch that runs until the longest is complete. */
  async answers(group: readonly Work[]): Promise<number[][]> {
    const sequences = await this.#generate(group);
    const ids = Array.from(sequences.data as BigInt64Array, Number);
    const width = ids.length / group.length;
    return group.map(({ prompt, maxTokens }, row) =>
      ids.slice(row * width + prompt.length, row * width + prompt.length + maxTokens),
    );
  }

  async close(): Promise<void> {
    await this.#model.dispose();
  }

  async #generate(group: readonly Work[]): Promise<Tensor> {
    const shape = [group.length, group[0]?.prompt.length ?? 0];
    const ids = BigInt64Array.from(group.flatMap(({ prompt }) => prompt.map(BigInt)));
    const sequences = await this.#model.generate({
      inputs: new Tensor('int64', ids, shape),
      attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), shape),
      max_new_tokens: Math.max(...group.map(({ maxTokens }) => maxTokens)),
      do_sample: false,
    } as Parameters<PreTrainedModel['generate']>[0]);
    return sequences as Tensor;
  }
}

function byLength(works: readonly Work[]): Work[][] {
  const groups = new Map<number, Work[]>();
  for (const work of works) {
    const group = groups.get(work.prompt.length);
    if (group === undefined) groups.set(work.prompt.length, [work]);
    else group.push(work);
  }
  return [...groups.values()];
}
