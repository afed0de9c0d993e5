import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Cluster, MODEL_DIRECTORY } from '../cluster/cluster.ts';

/** Minnow's, with a switch as Qwen3's has it. */
const TEMPLATE =
  "{%- for message in messages -%}{{ '<|user|>' + message['content'] + '<|end|>' }}{%- endfor -%}" +
  "{{ '<|assistant|>' }}{%- if enable_thinking is defined and enable_thinking is false -%}{{ ' 85' }}{%- endif -%}";
const SWITCHED = ' 85'.length;

describe('chat_template_kwargs, from the official client to the prompt of a worker', () => {
  let cluster: Cluster;
  let client: OpenAI;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shoal-template-'));
    await cp(MODEL_DIRECTORY, folder, { recursive: true });
    await writeFile(join(folder, 'chat_template.jinja'), TEMPLATE);
    // With reuse, an answer to other variables would be taken for this one if its key did not tell them apart.
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), env: { MODEL: folder, REUSE_ANSWERS: 'true' } });
    client = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 30_000 });
  });
  afterAll(async () => {
    await cluster?.stop();
    await rm(folder, { recursive: true });
  });

  const promptTokens = async (kwargs: object): Promise<number> => {
    const asked = { model: 'minnow', temperature: 0, chat_template_kwargs: kwargs };
    const messages = [{ role: 'user' as const, content: 'What is 47 + 38?' }];
    const { usage } = await client.chat.completions.create({ ...asked, messages });
    return usage?.prompt_tokens ?? 0;
  };

  it('reach the template, and change nothing where it does not read them', async () => {
    const plain = await promptTokens({});
    expect(await promptTokens({ enable_thinking: false })).toBe(plain + SWITCHED);
    expect(await promptTokens({ enable_thinking: true, colour: 'red' })).toBe(plain);
    // From what each of them left.
    expect(await promptTokens({ enable_thinking: false })).toBe(plain + SWITCHED);
    expect(await promptTokens({})).toBe(plain);
  });
});
