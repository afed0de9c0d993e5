import type { OrtBinding, OrtTensor } from '@shoal/ort';
import type { GraphSignature } from '../graph-signature.ts';
import type { CacheTensors } from './cache-tensors.ts';

/** What a pass takes besides the cache; a graph is given those that it has inputs for. */
export interface PassFeeds {
  /** `[rows, steps]`. */
  ids: OrtTensor<'int64'>;
  /** `[rows, past + steps]`: 0 hides a column of the cache. */
  mask: OrtTensor<'int64'>;
  /** `[rows, steps]`. */
  positions: OrtTensor<'int64'>;
  /** `[rows, 1]`: the step of each row whose logits are asked for. */
  logitsIndex: OrtTensor<'int64'>;
  /** `[1]`: whether there is a cache, for graphs that hold the first pass and the later ones side by side. */
  useCache: OrtTensor<'bool'>;
}

export function bindPast(binding: OrtBinding, signature: GraphSignature, feeds: PassFeeds, past: CacheTensors): void {
  binding.bindInput('input_ids', feeds.ids);
  binding.bindInput('attention_mask', feeds.mask);
  if (signature.positionIds) binding.bindInput('position_ids', feeds.positions);
  if (signature.logitsIndex) binding.bindInput('logits_index', feeds.logitsIndex);
  if (signature.useCacheBranch) binding.bindInput('use_cache_branch', feeds.useCache);
  for (const [index, name] of pastNames(signature).entries()) {
    const tensor = past.tensors[index];
    if (tensor !== undefined) binding.bindInput(name, tensor);
  }
}

export function bindPresent(binding: OrtBinding, signature: GraphSignature, present: CacheTensors): void {
  for (const [index, name] of presentNames(signature).entries()) binding.bindOutput(name, present.tensors[index]);
}

/** In the order of the slabs of the cache: keys and values, layer by layer. */
function pastNames({ layers }: GraphSignature): string[] {
  return layers.flatMap(({ pastKey, pastValue }) => [pastKey, pastValue]);
}

function presentNames({ layers }: GraphSignature): string[] {
  return layers.flatMap(({ presentKey, presentValue }) => [presentKey, presentValue]);
}
