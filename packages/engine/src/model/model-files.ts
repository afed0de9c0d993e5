import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ModelDtype } from '../engine-options.ts';
import { isMissing, modelFault } from './read-json.ts';

/** Files in the order of preference, as onnx-community and Transformers.js name the variants. */
const GRAPH_FILES: Readonly<Record<ModelDtype, readonly string[]>> = {
  fp32: ['model.onnx'],
  fp16: ['model_fp16.onnx'],
  int8: ['model_int8.onnx', 'model_quantized.onnx'],
  uint8: ['model_uint8.onnx'],
  q8: ['model_quantized.onnx', 'model_int8.onnx'],
  q4: ['model_q4.onnx'],
  q4f16: ['model_q4f16.onnx'],
  bnb4: ['model_bnb4.onnx'],
};

/** The graph file of a variant: under `onnx/`, or beside the configuration as onnxruntime-genai's builder puts it. */
export async function findGraph(directory: string, dtype: ModelDtype): Promise<string> {
  await requireDirectory(directory);
  const names = GRAPH_FILES[dtype];
  for (const path of names.flatMap((name) => [join(directory, 'onnx', name), join(directory, name)])) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return path;
  }
  const present = (await readdir(join(directory, 'onnx')).catch(() => [])).filter((name) => name.endsWith('.onnx'));
  const remedy = present.length === 0 ? 'export the model to ONNX first' : `choose a dtype of: ${present.join(', ')}`;
  throw modelFault(join(directory, 'onnx', names[0] ?? ''), `there is no ${dtype} graph`, remedy);
}

async function requireDirectory(directory: string): Promise<void> {
  try {
    if ((await stat(directory)).isDirectory()) return;
  } catch (cause) {
    if (isMissing(cause)) throw modelFault(directory, 'no such directory', 'give the path of a model directory', cause);
    throw modelFault(directory, 'the directory cannot be read', 'check its permissions', cause);
  }
  throw modelFault(directory, 'not a directory', 'give the directory that holds config.json, not a file');
}

const DESCRIPTIONS = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
];

/** Content hash of the files that decide the answers: 12 hex digits of SHA-256 over names and contents. */
export async function hashModel(directory: string, graph: string): Promise<string> {
  const data = (await readdir(dirname(graph))).filter((name) => name.startsWith(`${basename(graph)}_data`)).sort();
  const files = [
    ...DESCRIPTIONS.map((name) => join(directory, name)),
    graph,
    ...data.map((name) => join(dirname(graph), name)),
  ];
  const hash = createHash('sha256');
  for (const file of files) {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) continue;
    hash.update(`${basename(file)} ${found.size}\n`);
    await pipeline(createReadStream(file), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) hash.update(chunk);
    });
  }
  return hash.digest('hex').slice(0, 12);
}
