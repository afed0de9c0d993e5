import { cp, mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { concatDecoder, DECODER_TINY, decoder, ExternalDataFile, GraphBuilder } from '@shoal/onnx-graph';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Engine } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import { COMMIT, HubServer, repoOf } from '../testing/hub-server.ts';
import { MINNOW } from '../testing/minnow.ts';
import { GREEDY, readAnswer } from '../testing/scripted-engine.ts';
import { locateModel } from './hub/locate-model.ts';
import { inspectModel } from './inspect-model.ts';

/** As many tokens as minnow's tokenizer has. */
const SHAPE = { ...DECODER_TINY, vocab: 261, maxLen: 64 };

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-layout-'));
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await cp(join(MINNOW, name), join(directory, name));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const GENAI = {
  model: {
    type: 'llama',
    vocab_size: SHAPE.vocab,
    context_length: SHAPE.maxLen,
    eos_token_id: [2],
    decoder: { filename: 'model.onnx', num_attention_heads: SHAPE.heads },
  },
};

const writeJson = (name: string, value: object) => writeFile(join(directory, name), JSON.stringify(value));

/** onnxruntime-genai's layout: everything in one folder, weights beside the graph, no config.json. */
async function buildGenai(config: object = GENAI, edit = (graph: Buffer) => graph): Promise<void> {
  const externalData = new ExternalDataFile(join(directory, 'model.onnx.data'));
  const graph = decoder({ ...SHAPE, externalData });
  externalData.close();
  await writeFile(join(directory, 'model.onnx'), edit(Buffer.from(graph)));
  await writeJson('genai_config.json', config);
}

/** Hugging Face's layout of the same model. */
async function buildHuggingFace(): Promise<void> {
  await mkdir(join(directory, 'onnx'));
  const externalData = new ExternalDataFile(join(directory, 'onnx', 'model.onnx_data'));
  await writeFile(join(directory, 'onnx', 'model.onnx'), decoder({ ...SHAPE, externalData }));
  externalData.close();
  await writeJson('config.json', {
    model_type: 'llama',
    vocab_size: SHAPE.vocab,
    max_position_embeddings: SHAPE.maxLen,
    num_attention_heads: SHAPE.heads,
    eos_token_id: 2,
  });
}

const load = (options: Partial<EngineOptions> = {}) =>
  Engine.load({ modelDirectory: directory, intraOpThreads: 1, ...options });

async function answer(modelDirectory = directory): Promise<{ tokenIds: number[]; revision: string }> {
  const engine = await load({ modelDirectory });
  const answers = await Promise.all(
    ['Reverse', 'What is 1 plus'].map((prompt, i) =>
      readAnswer(engine.generate({ id: `r${i}`, prompt, params: { ...GREEDY, maxTokens: 12 } })),
    ),
  );
  const { revision } = engine.model;
  await engine.close();
  return { tokenIds: answers.flatMap(({ tokenIds }) => tokenIds), revision };
}

/** Other names of the same length, so that the file stays what it is. */
const RENAMED: [string, string][] = [
  ['input_ids', 'token_ids'],
  ['attention_mask', 'attention_keep'],
  ['past_key_values.', 'cache_from_past.'],
  ['present.', 'updated.'],
  ['logits', 'scores'],
];
const rename_ = (graph: Buffer) =>
  Buffer.from(
    RENAMED.reduce((text, [from, to]) => text.replaceAll(from, to), graph.toString('latin1')),
    'latin1',
  );

describe('a model directory', () => {
  it('may be in the layout of Hugging Face or of onnxruntime-genai, with weights beside the graph', async () => {
    await buildGenai();
    const genai = await answer();
    const report = await inspectModel({ modelDirectory: directory });
    expect(report).toMatchObject({ architecture: 'llama', heads: 4, layers: 2, cacheUpdate: 'in-place', refusals: [] });
    expect(report.files.map(({ path }) => path)).toContain('model.onnx.data');
    for (const name of ['model.onnx', 'model.onnx.data', 'genai_config.json']) await rm(join(directory, name));
    await buildHuggingFace();
    expect((await answer()).tokenIds).toEqual(genai.tokenIds);
  });

  it('may call its inputs and outputs as genai_config.json says', async () => {
    await buildGenai();
    const standard = await answer();
    const inputs = {
      input_ids: 'token_ids',
      attention_mask: 'attention_keep',
      past_key_names: 'cache_from_past.%d.key',
      past_value_names: 'cache_from_past.%d.value',
    };
    const outputs = { logits: 'scores', present_key_names: 'updated.%d.key', present_value_names: 'updated.%d.value' };
    const named = { model: { ...GENAI.model, decoder: { ...GENAI.model.decoder, inputs, outputs } } };
    await buildGenai(named, rename_);
    expect((await answer()).tokenIds).toEqual(standard.tokenIds);
    await buildGenai(GENAI, rename_);
    await expect(load()).rejects.toThrow(/the graph has no input input_ids/);
  });

  it('may give its graph another name', async () => {
    await buildGenai({ model: { ...GENAI.model, decoder: { ...GENAI.model.decoder, filename: 'phi.onnx' } } });
    await rename(join(directory, 'model.onnx'), join(directory, 'phi.onnx'));
    expect((await answer()).tokenIds.length).toBeGreaterThan(0);
    const server = await HubServer.start();
    server.repos.set('org/phi', await repoOf(directory));
    const hub = { endpoint: server.url, cacheDirectory: join(directory, 'cache') };
    const pulled = await locateModel('org/phi', { hub }).finally(() => server.stop());
    expect(pulled).toContain(COMMIT);
    expect(await answer(pulled)).toEqual(await answer());
  });

  it('may hold a decoder under Optimum’s older name, whose cache grows', async () => {
    await buildHuggingFace();
    for (const name of ['model.onnx', 'model.onnx_data']) await rm(join(directory, 'onnx', name));
    await writeFile(join(directory, 'onnx', 'decoder_model_merged.onnx'), concatDecoder(SHAPE));
    expect((await answer()).tokenIds.length).toBeGreaterThan(0);
    const report = await inspectModel({ modelDirectory: directory });
    expect(report).toMatchObject({ cacheUpdate: 'concat', positionIds: true, refusals: [] });
  });

  it('is known by its weights too', async () => {
    await buildGenai();
    const before = await answer();
    const data = await readFile(join(directory, 'model.onnx.data'));
    data.writeFloatLE(3, 0);
    await writeFile(join(directory, 'model.onnx.data'), data);
    expect((await answer()).revision).not.toBe(before.revision);
  });
});

describe('a directory that cannot be loaded names what is wrong:', () => {
  const refused = async (message: RegExp) => {
    const failure = load();
    await expect(failure).rejects.toMatchObject({ code: 'model_not_found' });
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toThrow(/^[^\n]+; [^\n]+$/);
    const { refusals } = await inspectModel({ modelDirectory: directory });
    expect(refusals).toEqual([expect.stringMatching(message)]);
  };

  it('missing weights, and weights that end too early', async () => {
    await buildGenai();
    await truncate(join(directory, 'model.onnx.data'), 10_000);
    await refused(/model.onnx.data: the file has 10000 bytes, model.onnx needs \d+; download the model again/);
    await rm(join(directory, 'model.onnx.data'));
    await refused(/model.onnx.data: the file with weights of model.onnx is missing; download/);
  });

  it('weights that would be read from elsewhere', async () => {
    const elsewhere = (graph: Buffer) =>
      Buffer.from(graph.toString('latin1').replaceAll('model.onnx.data', '../../etc/hosts'), 'latin1');
    await buildGenai(GENAI, elsewhere);
    await refused(/model.onnx: its weights lie outside its folder, in ..\/..\/etc\/hosts/);
  });

  it('a graph that ends too early, and one that is none', async () => {
    await buildGenai();
    await truncate(join(directory, 'model.onnx'), 3000);
    await refused(/model.onnx: cannot be loaded: it ends at byte 3000, inside a field .*corrupt or incomplete/);
    await writeFile(join(directory, 'model.onnx'), '<html>Not Found</html>');
    await refused(/model.onnx: cannot be loaded: .*corrupt or incomplete/);
    await writeFile(join(directory, 'model.onnx'), '');
    await refused(/model.onnx: there is no graph in the file/);
  });

  it('an operator that the runtime lacks', async () => {
    const g = new GraphBuilder({ name: 'odd' });
    g.output(g.node('FlashAttention9000', [g.input('input_ids', 'int64', ['b', 's'])]), 'float32', ['b', 's', 261]);
    await buildGenai(GENAI, () => Buffer.from(g.toBytes()));
    await refused(/model.onnx: cannot be loaded: .*FlashAttention9000.*; /);
  });

  it('a type that the engine does not compute with', async () => {
    const g = new GraphBuilder({ name: 'odd' });
    const cache = ['b', 2, 'past', 4];
    for (const name of ['input_ids', 'attention_mask']) g.input(name, 'int64', ['b', name]);
    for (const part of ['key', 'value']) g.input(`past_key_values.0.${part}`, 'int8', cache);
    for (const part of ['key', 'value']) {
      const name = `present.0.${part}`;
      g.output(g.node('Identity', [`past_key_values.0.${part}`], { outputs: [name] }), 'int8', cache);
    }
    g.output(g.initializer('logits', 'float32', [1, 1, 4], new Float32Array(4)), 'float32', [1, 1, 4]);
    await buildGenai(GENAI, () => Buffer.from(g.toBytes()));
    await refused(/past_key_values.0.key is int8; float32 and float16 are supported/);
  });

  it('a tokenizer of another model', async () => {
    await buildGenai({ model: { ...GENAI.model, vocab_size: 200 } });
    await refused(/tokenizer.json: the tokenizer has \d+ tokens, the model knows 200; use the tokenizer/);
  });

  it('end tokens that the model cannot give', async () => {
    await buildGenai({ model: { ...GENAI.model, eos_token_id: 9999 } });
    await refused(/eos_token_id 9999 is not among the model's 261 tokens/);
  });

  it('a configuration that leaves out what is needed, or leads elsewhere', async () => {
    const { context_length: _, ...model } = GENAI.model;
    await buildGenai({ model });
    await refused(/genai_config.json: model.context_length is missing, and there is no config.json/);
    await buildGenai({ model: { ...model, decoder: { filename: '../model.onnx' } } });
    await expect(load()).rejects.toThrow(/genai_config.json: model.decoder.filename: must be a file name/);
  });

  it('a context longer than the model’s', async () => {
    await buildGenai();
    await expect(load({ maxModelLen: 65 })).rejects.toThrow(/maxModelLen is 65: give a number from 2 to 64/);
  });
});
