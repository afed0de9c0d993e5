import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer, env, type PreTrainedModel, type Tensor } from '@huggingface/transformers';
import { Engine } from '@shoal/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate, greedy, MODEL_DIRECTORY } from './engine-requests.ts';
import { type HeldOutPrompt, mixed } from './held-out.ts';

describe('minnow by another implementation', () => {
  let engine: Engine;
  let tokenizer: Awaited<ReturnType<typeof AutoTokenizer.from_pretrained>>;
  let model: PreTrainedModel;

  beforeAll(async () => {
    engine = await Engine.load({ modelDirectory: MODEL_DIRECTORY, maxBatchSize: 16, maxQueueDelayMs: 0 });
    env.allowRemoteModels = false;
    env.localModelPath = fileURLToPath(new URL('../../models/', import.meta.url));
    tokenizer = await AutoTokenizer.from_pretrained('minnow');
    model = await AutoModelForCausalLM.from_pretrained('minnow', { dtype: 'fp32' });
  });
  afterAll(async () => {
    await engine?.close();
    await model?.dispose();
  });

  /** The greedy continuation, token by token; one prompt at a time, because it left-pads batches of mixed lengths. */
  async function reference(row: HeldOutPrompt): Promise<number[]> {
    const prompt =
      row.form === 'chat'
        ? String(
            tokenizer.apply_chat_template([{ role: 'user', content: row.prompt }], {
              tokenize: false,
              add_generation_prompt: true,
            }),
          )
        : row.prompt;
    const inputs = tokenizer(prompt, { add_special_tokens: false });
    const output = await model.generate({ ...inputs, do_sample: false, max_new_tokens: 400 });
    const ids = (output as Tensor).tolist()[0] as bigint[];
    const promptLength = Number(inputs.input_ids.dims[1]);
    return ids.slice(promptLength).map(Number);
  }

  it('generates the same greedy tokens for 50 prompts', { timeout: 120_000 }, async () => {
    const rows = mixed(50);
    const ours = await Promise.all(rows.map((row) => generate(engine, greedy(row))));
    for (const [index, row] of rows.entries()) {
      expect(ours[index]?.tokenIds, row.prompt).toEqual(await reference(row));
    }
  });
});
