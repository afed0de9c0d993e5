import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ModelDtype } from '../engine-options.ts';
import { readGenaiConfig } from './genai-config.ts';
import { type OnnxOutline, readOnnxOutline } from './onnx-outline.ts';
import { isMissing, modelFault } from './read-json.ts';

/** Files, in the order of preference, as onnx-community and Transformers.js name the variants. */
const SUFFIXES: Readonly<Record<ModelDtype, readonly string[]>> = {
  fp32: [''],
  fp16: ['_fp16'],
  int8: ['_int8', '_quantized'],
  uint8: ['_uint8'],
  q8: ['_quantized', '_int8'],
  q4: ['_q4'],
  q4f16: ['_q4f16'],
  bnb4: ['_bnb4'],
};

/** The second is Optimum's older name for a decoder whose first pass and later ones are one graph. */
const STEMS = ['model', 'decoder_model_merged'];

/**
 * Where a variant's graph may lie in a model directory, best first: under `onnx/`, beside the configuration, or where
 * `genai_config.json` says (`genaiFile`), whose directory holds one variant that its name does not tell.
 */
export function graphCandidates(dtype: ModelDtype, genaiFile: string | undefined): string[] {
  const names = STEMS.flatMap((stem) => SUFFIXES[dtype].map((suffix) => `${stem}${suffix}.onnx`));
  const genai = genaiFile === undefined || dtype !== 'fp32' ? [] : [genaiFile];
  return [...genai, ...names.flatMap((name) => [`onnx/${name}`, name])];
}

/** What to say when none of the candidates is there; `present` are the paths of all graphs that are. */
export function noSuchVariant(place: string, dtype: ModelDtype, present: readonly string[]): Error {
  const remedy =
    present.length === 0
      ? 'export the model to ONNX first, or choose one that has been'
      : `choose a dtype of: ${present.join(', ')}`;
  return modelFault(place, `there is no ${dtype} graph`, remedy);
}

/** A variant's graph, whole: the file and what it says of itself. */
export interface GraphFile {
  path: string;
  outline: OnnxOutline;
}

/**
 * Finds the graph file of a variant, and checks that it and its external data are there in full.
 *
 * @throws ShoalError `model_not_found` that names what is missing, and the variants there are
 */
export async function findGraph(directory: string, dtype: ModelDtype): Promise<GraphFile> {
  await requireDirectory(directory);
  const genai = await readGenaiConfig(directory);
  for (const candidate of graphCandidates(dtype, genai?.graph)) {
    const path = join(directory, candidate);
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile()) continue;
    const outline = readOnnxOutline(path);
    await requireExternalData(path, outline);
    return { path, outline };
  }
  const names = await Promise.all(['onnx', ''].map((folder) => graphsIn(directory, folder)));
  throw noSuchVariant(join(directory, 'onnx', `model${SUFFIXES[dtype][0]}.onnx`), dtype, names.flat());
}

async function graphsIn(directory: string, folder: string): Promise<string[]> {
  const names = await readdir(join(directory, folder)).catch(() => []);
  return names.filter((name) => name.endsWith('.onnx')).map((name) => (folder === '' ? name : `${folder}/${name}`));
}

const DOWNLOAD = 'download the model again, all files of the variant';

async function requireExternalData(graph: string, { externalData }: OnnxOutline): Promise<void> {
  for (const [location, least] of externalData) {
    const path = join(dirname(graph), location);
    if (!isInside(location)) throw modelFault(graph, `its weights lie outside its folder, in ${location}`, DOWNLOAD);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) throw modelFault(path, `the file with weights of ${basename(graph)} is missing`, DOWNLOAD);
    if (found.size >= least) continue;
    throw modelFault(path, `the file has ${found.size} bytes, ${basename(graph)} needs ${least}`, DOWNLOAD);
  }
}

/** A path that leads nowhere else than below its folder. */
export function isInside(path: string): boolean {
  const parts = path.split('/');
  const odd = parts.some((part) => part === '' || part === '.' || part === '..');
  return !odd && !/[\\\0]|^[A-Za-z]:/.test(path) && path.length <= 1024;
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

/** Files beside the graph that say what the model is and how text becomes tokens. */
export const DESCRIPTIONS: readonly string[] = [
  'config.json',
  'generation_config.json',
  'genai_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];

/** All files of a model that decide its answers. */
export function modelFiles(directory: string, { path, outline }: GraphFile): string[] {
  const data = [...outline.externalData.keys()].sort();
  return [...DESCRIPTIONS.map((name) => join(directory, name)), path, ...data.map((name) => join(dirname(path), name))];
}

/** Content hash of the files that decide the answers: 12 hex digits of SHA-256 over names and contents. */
export async function hashModel(files: readonly string[]): Promise<string> {
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
