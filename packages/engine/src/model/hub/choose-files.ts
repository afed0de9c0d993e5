import type { ModelDtype } from '../../engine-options.ts';
import { DESCRIPTIONS, graphCandidates, noSuchVariant } from '../model-files.ts';
import type { HubFile } from './hub-client.ts';

/** A repository's files below one of its folders, by their path from there. */
export type Listing = ReadonlyMap<string, HubFile>;

export function listingOf(files: readonly HubFile[], folder: string): Listing {
  const prefix = folder === '' ? '' : `${folder}/`;
  const below = files.filter(({ path }) => path.startsWith(prefix));
  return new Map(below.map((file) => [file.path.slice(prefix.length), file]));
}

export interface ChosenFiles {
  descriptions: HubFile[];
  graph: HubFile;
  /** Files whose names say that they hold weights of the graph; the graph itself may name others. */
  data: HubFile[];
}

/**
 * The files of one variant.
 *
 * @param place the model's name, for messages
 * @param genaiFile the graph that `genai_config.json` names, where there is one
 * @throws ShoalError `model_not_found` that lists the variants there are
 */
export function chooseFiles(
  listing: Listing,
  place: string,
  dtype: ModelDtype,
  genaiFile: string | undefined,
): ChosenFiles {
  const path = graphCandidates(dtype, genaiFile).find((candidate) => listing.has(candidate));
  const graph = path === undefined ? undefined : listing.get(path);
  if (path === undefined || graph === undefined) {
    const variants = [...listing.keys()].filter((name) => name.endsWith('.onnx') && name.split('/').length <= 2);
    throw noSuchVariant(place, dtype, variants.sort());
  }
  const descriptions = DESCRIPTIONS.map((name) => listing.get(name)).filter((file) => file !== undefined);
  return { descriptions, graph, data: dataFiles(listing, path) };
}

/** `model.onnx_data`, `model.onnx_data_1`, `model.onnx.data` of `model.onnx`. */
function dataFiles(listing: Listing, graph: string): HubFile[] {
  const found = [...listing].filter(
    ([path]) => path.startsWith(graph) && /^[._]data(_\d+)?$/.test(path.slice(graph.length)),
  );
  return found.map(([, file]) => file);
}

/** Files that a graph names as the place of its weights. */
export function namedFiles(listing: Listing, graph: HubFile, locations: Iterable<string>, folder: string): HubFile[] {
  const own = folder === '' ? graph.path : graph.path.slice(folder.length + 1);
  const beside = own.slice(0, own.lastIndexOf('/') + 1);
  const files = [...locations].map((location) => listing.get(`${beside}${location}`));
  return files.filter((file) => file !== undefined);
}
