import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Engine } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import { MINNOW } from '../testing/minnow.ts';
import { GREEDY, readAnswer } from '../testing/scripted-engine.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-model-'));
  for (const name of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx']) {
    await cp(join(MINNOW, name), join(directory, name), { recursive: true });
  }
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const edit = async (name: string, change: (text: string) => string) =>
  writeFile(join(directory, name), change(await readFile(join(directory, name), 'utf8')));

async function load(options: Partial<EngineOptions> = {}): Promise<Engine> {
  return Engine.load({ modelDirectory: directory, ...options });
}

describe('loading a model', () => {
  it('describes what it loaded; the revision follows the contents', async () => {
    const engine = await load();
    expect(engine.model).toEqual({
      maxModelLen: 512,
      vocabSize: 261,
      chat: true,
      revision: expect.stringMatching(/^[0-9a-f]{12}$/),
      dtype: 'fp32',
      executionProvider: 'cpu',
      fingerprint: expect.stringMatching(/^[0-9a-f]{12}$/),
      invariance: { batch: true, padding: true, chunk: true, replay: true },
    });
    await engine.close();
    await edit('config.json', (text) => `${text}\n`);
    const other = await load({ maxModelLen: 100 });
    expect(other.model.maxModelLen).toBe(100);
    expect(other.model.revision).not.toBe(engine.model.revision);
    expect(other.model.fingerprint).not.toBe(engine.model.fingerprint);
    await other.close();
  });

  it.each(['config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx'])(
    'names a missing %s and says what to do',
    async (name) => {
      await rm(join(directory, name));
      const failure = load();
      await expect(failure).rejects.toMatchObject({ code: 'model_not_found' });
      await expect(failure).rejects.toThrow(join(directory, name));
      await expect(failure).rejects.toThrow(/; (download|export)/);
    },
  );

  it('names a missing directory, and a file given in its place', async () => {
    await expect(load({ modelDirectory: join(directory, 'nowhere') })).rejects.toThrow(/nowhere: no such directory; /);
    await expect(load({ modelDirectory: join(directory, 'config.json') })).rejects.toThrow(
      /config.json: not a directory; /,
    );
  });

  it('lists the variants there are when the one asked for is not', async () => {
    await expect(load({ dtype: 'q4' })).rejects.toThrow(/there is no q4 graph; choose a dtype of: onnx\/model.onnx/);
  });

  it('names a corrupt graph', async () => {
    await truncate(join(directory, 'onnx', 'model.onnx'), 5000);
    await expect(load()).rejects.toThrow(/onnx\/model.onnx: cannot be loaded: [^\n]*; the file is corrupt/);
  });

  it('names broken JSON, and a wrong field', async () => {
    await edit('config.json', () => '{');
    await expect(load()).rejects.toThrow(/config.json: the file is not valid JSON; /);
    await edit('config.json', () => '{"vocab_size": "many"}');
    await expect(load()).rejects.toThrow(/config.json: vocab_size: .*; /);
  });

  it('names a tokenizer it cannot build, and a template that does not parse', async () => {
    await edit('tokenizer.json', () => '{"model": {"type": "Nonsense"}}');
    await expect(load()).rejects.toThrow(/tokenizer.json: the tokenizer cannot be built/);
    await cp(join(MINNOW, 'tokenizer.json'), join(directory, 'tokenizer.json'));
    await writeFile(join(directory, 'chat_template.jinja'), '{% for %}');
    await expect(load()).rejects.toThrow(/chat_template.jinja: the chat template does not parse/);
  });

  it('refuses a vocabulary that the graph does not have', async () => {
    await edit('config.json', (text) => text.replace('"vocab_size": 261', '"vocab_size": 300'));
    await expect(load()).rejects.toThrow(/config.json says 300 tokens, the graph's logits have 261/);
  });

  it('lets an end that the graph does not have be', async () => {
    await edit('generation_config.json', (text) => text.replace('"eos_token_id": 260', '"eos_token_id": [260, 300]'));
    const engine = await load();
    const request = { id: 'a', prompt: 'What is 3 plus 4?', params: { ...GREEDY, minTokens: 3, maxTokens: 5 } };
    expect((await readAnswer(engine.generate(request))).tokenIds.length).toBeGreaterThanOrEqual(3);
    await engine.close();
  });

  it('refuses options out of range', async () => {
    await expect(load({ maxModelLen: 513 })).rejects.toThrow(/maxModelLen is 513: give a number from 2 to 512/);
    await expect(load({ maxBatchSize: 0 })).rejects.toThrow(/maxBatchSize is 0/);
    await expect(load({ maxQueueDelayMs: Number.NaN })).rejects.toThrow(/maxQueueDelayMs is NaN/);
  });

  it('bounds a prefill by its memory, not by its settings alone', async () => {
    // As many heads as 256 MB of scores for 327 tokens have: only the bound of the scratch reads this number.
    await edit('config.json', (text) => text.replace(/"num_attention_heads": \d+/, '"num_attention_heads": 400'));
    const engine = await load({ maxBatchTokens: 100 });
    let largest = 0;
    engine.observe((fact) => {
      if (fact.type === 'step') largest = Math.max(largest, fact.tokens);
    });
    for (const [maxBatchTokens, expected] of [
      [100, 100],
      [8192, 327],
      [200, 200],
    ] as const) {
      engine.tune({ maxBatchTokens });
      largest = 0;
      // One of its own for each, so that none is copied from the one before.
      const promptTokenIds = Array.from({ length: 400 }, (_, i) => 32 + ((i * expected) % 89));
      await readAnswer(engine.generate({ id: `${expected}`, promptTokenIds, params: { ...GREEDY, maxTokens: 1 } }));
      expect(largest).toBe(expected);
    }
    await engine.close();
  });
});
