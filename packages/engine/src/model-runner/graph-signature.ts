import { ShoalError } from '@shoal/protocol';

/** One input or output of a graph; symbolic dimensions are names. */
export interface TensorInfo {
  name: string;
  type: string;
  shape: readonly (number | string)[];
}

/** A layer's cache, by the names of its graph inputs and outputs. */
export interface LayerNames {
  pastKey: string;
  pastValue: string;
  presentKey: string;
  presentValue: string;
}

/** What the engine feeds and reads, read from the graph itself. */
export interface GraphSignature {
  layers: readonly LayerNames[];
  kvHeads: number;
  headSize: number;
  /** Element type of the cache and of the logits. */
  cacheType: FloatType;
  logitsType: FloatType;
  vocabSize: number;
  positionIds: boolean;
  /** Takes `logits_index [batch, K]`: the positions of each row whose logits are computed. */
  logitsIndex: boolean;
  /** Takes `use_cache_branch [1]`: whether there is a cache. Optimum's merged graphs hold a branch for either case. */
  useCacheBranch: boolean;
}

export type FloatType = 'float32' | 'float16';

/**
 * Reads the signature of a decoder in the naming of onnxruntime-genai and onnx-community.
 *
 * @throws ShoalError `model_not_found` that names what is missing or unknown
 */
export function readSignature(inputs: readonly TensorInfo[], outputs: readonly TensorInfo[]): GraphSignature {
  const inputByName = new Map(inputs.map((input) => [input.name, input]));
  const outputByName = new Map(outputs.map((output) => [output.name, output]));
  for (const name of ['input_ids', 'attention_mask', 'past_key_values.0.key']) require(inputByName, name, 'input');
  const layers = layerNames(inputByName, outputByName);
  refuseUnknown(inputs, layers);
  const cache = require(inputByName, 'past_key_values.0.key', 'input');
  const logits = require(outputByName, 'logits', 'output');
  return {
    layers,
    kvHeads: fixed(cache, 1),
    headSize: fixed(cache, 3),
    cacheType: floatType(cache),
    logitsType: floatType(logits),
    vocabSize: fixed(logits, 2),
    positionIds: inputByName.has('position_ids'),
    logitsIndex: inputByName.has('logits_index'),
    useCacheBranch: inputByName.has('use_cache_branch'),
  };
}

function layerNames(inputs: Map<string, TensorInfo>, outputs: Map<string, TensorInfo>): LayerNames[] {
  const layers: LayerNames[] = [];
  while (inputs.has(`past_key_values.${layers.length}.key`)) {
    const layer = layers.length;
    layers.push({
      pastKey: `past_key_values.${layer}.key`,
      pastValue: require(inputs, `past_key_values.${layer}.value`, 'input').name,
      presentKey: require(outputs, `present.${layer}.key`, 'output').name,
      presentValue: require(outputs, `present.${layer}.value`, 'output').name,
    });
  }
  return layers;
}

function refuseUnknown(inputs: readonly TensorInfo[], layers: readonly LayerNames[]): void {
  const known = new Set(['input_ids', 'attention_mask', 'position_ids', 'logits_index', 'use_cache_branch']);
  for (const layer of layers) known.add(layer.pastKey).add(layer.pastValue);
  const unknown = inputs.filter((input) => !known.has(input.name)).map((input) => input.name);
  if (unknown.length > 0) throw unsupported(`the graph has inputs that the engine cannot feed: ${unknown.join(', ')}`);
}

function require(tensors: Map<string, TensorInfo>, name: string, kind: string): TensorInfo {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw unsupported(`the graph has no ${kind} ${name}`);
  return tensor;
}

function fixed(tensor: TensorInfo, axis: number): number {
  const size = tensor.shape[axis];
  if (typeof size !== 'number') throw unsupported(`dimension ${axis} of ${tensor.name} is not a number`);
  return size;
}

function floatType(tensor: TensorInfo): FloatType {
  if (tensor.type === 'float32' || tensor.type === 'float16') return tensor.type;
  throw unsupported(`${tensor.name} is ${tensor.type}; float32 and float16 are supported`);
}

function unsupported(fault: string): ShoalError {
  const remedy = 'use a text decoder exported by onnxruntime-genai or for onnx-community';
  return new ShoalError('model_not_found', `the model cannot be run: ${fault}; ${remedy}`);
}
