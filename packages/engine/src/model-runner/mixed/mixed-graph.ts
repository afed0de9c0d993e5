import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { externalWeights, mixedDecoder, UnsupportedGraphError } from '@shoal/onnx-graph';
import type { OrtBackend, SharedWeights, WeightRange } from '@shoal/ort';

/** A model rewritten for mixed passes, and the weights that its two sessions share. */
export interface MixedGraph extends Disposable {
  graph: Uint8Array;
  /** Where its external data lies. */
  folder: string;
  weights: SharedWeights;
}

/** Weights inside the file itself are not shared: a file of this size at most may exist twice in memory. */
const LARGEST_FILE = 16 * 2 ** 20;

/**
 * The graph for mixed passes; undefined where it cannot be made, or its weights would take their memory twice. What is
 * wrong with the files is for those to say who load the model as it is.
 */
export async function readMixedGraph(ort: OrtBackend, path: string): Promise<MixedGraph | undefined> {
  if (!ort.capabilities.sharedWeights) return undefined;
  try {
    return (await stat(path)).size > LARGEST_FILE ? undefined : await rewrite(ort, path);
  } catch {
    return undefined;
  }
}

async function rewrite(ort: OrtBackend, path: string): Promise<MixedGraph> {
  const model = await readFile(path);
  const files = new Map<string, string>();
  const ranges: WeightRange[] = [];
  for (const { type, location, ...weight } of externalWeights(model)) {
    if (type === undefined) throw new UnsupportedGraphError(`${weight.name} is of a type that cannot be shared`);
    const file = files.get(location) ?? (await realpath(join(dirname(path), location)));
    files.set(location, file);
    ranges.push({ ...weight, type, path: file });
  }
  const folder = folderOf([...files.values()]) ?? dirname(path);
  const graph = mixedDecoder(model, { locate: (location) => basename(files.get(location) ?? location) });
  const weights = ort.shareWeights(ranges);
  // Sessions that were made with them keep them.
  return { graph, folder, weights, [Symbol.dispose]: () => weights.dispose() };
}

/**
 * The folder that all files lie in. A hub's cache has links where the graph expects files, and ONNX Runtime takes no file
 * from outside the folder it is given.
 */
function folderOf(files: readonly string[]): string | undefined {
  const [folder, ...others] = new Set(files.map((file) => dirname(file)));
  if (others.length > 0) throw new UnsupportedGraphError('its weights lie in several folders');
  return folder;
}
