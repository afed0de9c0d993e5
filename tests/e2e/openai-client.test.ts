import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Cluster } from '../cluster/cluster.ts';

/** Minnow's vocabulary is bytes, in GPT-2's spelling. */
function minnowIds(text: string): number[] {
  const { model } = JSON.parse(readFileSync(new URL('../../models/minnow/tokenizer.json', import.meta.url), 'utf8'));
  return [...text.replaceAll(' ', '\u0120')].map((character) => model.vocab[character]);
}

describe('the official OpenAI client, unmodified', () => {
  let cluster: Cluster;
  let client: OpenAI;

  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl') });
    client = new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 30_000 });
  });
  afterAll(() => cluster?.stop());

  it('lists the models', async () => {
    const names: string[] = [];
    for await (const model of client.models.list()) names.push(model.id);
    expect(names).toContain('minnow');
  });

  it('completes a prompt', async () => {
    const completion = await client.completions.create({ model: 'minnow', prompt: '47 + 38 =', temperature: 0 });
    expect(completion.choices[0]?.text).toContain('85');
    expect(completion.choices[0]?.finish_reason).toBe('stop');
    expect(completion.usage?.completion_tokens).toBeGreaterThan(0);
  });

  it('echoes a prompt of token ids, whole and streamed, before each of several answers', async () => {
    const text = '47 + 38 =';
    const ids = minnowIds(text);
    const asked = { model: 'minnow', prompt: [ids, minnowIds('12 + 30 =')], temperature: 0, echo: true, n: 2 };
    const whole = await client.completions.create(asked);
    const plain = await client.completions.create({ ...asked, prompt: [text, '12 + 30 ='] });
    expect(whole.choices.map((choice) => choice.text)).toEqual(plain.choices.map((choice) => choice.text));
    expect(whole.choices[0]?.text).toMatch(/^47 \+ 38 =.*85/);
    const texts = ['', '', '', ''];
    for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
      for (const choice of chunk.choices) texts[choice.index] += choice.text;
    }
    expect(texts).toEqual(whole.choices.map((choice) => choice.text));
  });

  it('completes several prompts in one call, in order', async () => {
    const completion = await client.completions.create({
      model: 'minnow',
      prompt: ['47 + 38 =', '12 + 30 ='],
      temperature: 0,
    });
    expect(completion.choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(completion.choices.map(({ text }) => text.trim())).toEqual([
      expect.stringContaining('85'),
      expect.stringContaining('42'),
    ]);
  });

  it('chats, streaming with usage, and equals the answer given whole', async () => {
    const messages = [{ role: 'user' as const, content: 'Tell me a story about a fox and a lantern.' }];
    const whole = await client.chat.completions.create({ model: 'minnow', messages, temperature: 0 });
    const stream = await client.chat.completions.create({
      model: 'minnow',
      messages,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: number | undefined;
    let deltas = 0;
    for await (const chunk of stream) {
      const content = chunk.choices[0]?.delta.content ?? '';
      if (content !== '') deltas += 1;
      text += content;
      usage = chunk.usage?.completion_tokens ?? usage;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(deltas).toBeGreaterThan(1);
    expect(usage).toBe(whole.usage?.completion_tokens);
  });

  it('gives the same sampled answer for the same seed, and others for others', async () => {
    const story = async (seed: number) => {
      const messages = [{ role: 'user' as const, content: 'Tell me a story about a fox and a lantern.' }];
      const answer = await client.chat.completions.create({ model: 'minnow', messages, temperature: 1, seed });
      return answer.choices[0]?.message.content;
    };
    const [first, again, ...others] = await Promise.all([1, 1, 2, 3, 4].map(story));
    expect(again).toBe(first);
    expect(new Set(others).add(first).size).toBeGreaterThan(1);
  });

  it('stops at a stop string, which is not part of the answer', async () => {
    const messages = [{ role: 'user' as const, content: 'Tell me a story about a fox and a lantern.' }];
    const answer = await client.chat.completions.create({ model: 'minnow', messages, temperature: 0, stop: '.' });
    expect(answer.choices[0]?.message.content).not.toContain('.');
    expect(answer.choices[0]?.finish_reason).toBe('stop');
  });

  it('ends at max_tokens with the reason length', async () => {
    const answer = await client.completions.create({
      model: 'minnow',
      prompt: '47 + 38 =',
      temperature: 0,
      max_tokens: 1,
    });
    expect(answer.choices[0]?.finish_reason).toBe('length');
    expect(answer.usage?.completion_tokens).toBe(1);
  });

  it('gets its typed exceptions', async () => {
    const ask = (extra: object) =>
      client.completions.create({ model: 'minnow', prompt: '47 + 38 =', ...extra } as OpenAI.CompletionCreateParams);
    await expect(ask({ model: 'nobody' })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(ask({ temperature: 9 })).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(ask({ prompt: 'a'.repeat(5000) })).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
    });
  });

  it('cancels by leaving the stream', async () => {
    const stream = await client.chat.completions.create({
      model: 'minnow',
      messages: [{ role: 'user', content: 'Tell me a story about a fox and a lantern.' }],
      stream: true,
    });
    let id = '';
    for await (const chunk of stream) {
      id = chunk.id.replace(/^chatcmpl-/, '');
      if ((chunk.choices[0]?.delta.content ?? '') !== '') break;
    }
    const status = async () => {
      const view: unknown = await (await fetch(`${cluster.url}/v1/jobs/${id}`)).json();
      return view instanceof Object && 'status' in view ? view.status : view;
    };
    await expect.poll(status, { timeout: 10_000 }).toMatch(/cancelled|completed/);
  });
});
