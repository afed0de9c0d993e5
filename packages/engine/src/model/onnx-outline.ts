import { closeSync, fstatSync, openSync } from 'node:fs';
import { ProtobufFile, TruncatedError } from './protobuf-file.ts';
import { modelFault } from './read-json.ts';

/** What an ONNX file says of itself without being loaded. */
export interface OnnxOutline {
  /** Files beside it that hold weights, by the path that the graph gives, and the bytes each must have at least. */
  externalData: ReadonlyMap<string, number>;
  /** Nodes per operator, subgraphs included. */
  operators: ReadonlyMap<string, number>;
  /** Bytes of weights per element type, in the graph and outside. */
  weightBytes: ReadonlyMap<string, number>;
}

interface MutableOutline {
  externalData: Map<string, number>;
  operators: Map<string, number>;
  weightBytes: Map<string, number>;
}

const REMEDY = 'the file is corrupt or incomplete: download the model again';

/**
 * Reads the outline of an ONNX file. Weights are skipped, not read, so that it takes milliseconds for any size.
 *
 * @throws ShoalError `model_not_found` when the file is truncated or no ONNX file
 */
export function readOnnxOutline(path: string): OnnxOutline {
  const outline: MutableOutline = { externalData: new Map(), operators: new Map(), weightBytes: new Map() };
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (cause) {
    throw modelFault(path, 'the file cannot be read', 'check its permissions', cause);
  }
  try {
    const { size } = fstatSync(descriptor);
    let graphs = 0;
    const file = new ProtobufFile(descriptor);
    for (const field of file.fields(size)) {
      if (field.number !== MODEL_GRAPH) continue;
      graphs += 1;
      readGraph(file, field.end, outline, 0);
    }
    if (graphs === 0) throw modelFault(path, 'there is no graph in the file', REMEDY);
  } catch (cause) {
    if (cause instanceof TruncatedError) throw modelFault(path, `cannot be loaded: ${cause.message}`, REMEDY, cause);
    throw cause;
  } finally {
    closeSync(descriptor);
  }
  return outline;
}

/** Subgraphs (of `If` and `Loop`) lie in attributes of nodes. Deeper ones are no model that anybody exports. */
const MOST_NESTED = 8;

function readGraph(file: ProtobufFile, end: number, outline: MutableOutline, depth: number): void {
  if (depth > MOST_NESTED) throw new TruncatedError('its subgraphs are nested too deep');
  for (const field of file.fields(end)) {
    if (field.number === GRAPH.node) readNode(file, field.end, outline, depth);
    else if (field.number === GRAPH.initializer) readTensor(file, field.end, outline);
  }
}

function readNode(file: ProtobufFile, end: number, outline: MutableOutline, depth: number): void {
  for (const field of file.fields(end)) {
    if (field.number === NODE.operator) add(outline.operators, file.text(field.end), 1);
    else if (field.number === NODE.attribute) readAttribute(file, field.end, outline, depth);
  }
}

function readAttribute(file: ProtobufFile, end: number, outline: MutableOutline, depth: number): void {
  for (const { number, end: fieldEnd } of file.fields(end)) {
    if (number === ATTRIBUTE.tensor || number === ATTRIBUTE.tensors) readTensor(file, fieldEnd, outline);
    else if (number === ATTRIBUTE.graph || number === ATTRIBUTE.graphs) readGraph(file, fieldEnd, outline, depth + 1);
  }
}

function readTensor(file: ProtobufFile, end: number, outline: MutableOutline): void {
  let type = 0;
  let bytes = 0;
  const place = new Map<string, string>();
  for (const field of file.fields(end)) {
    if (field.number === TENSOR.dataType) type = field.value;
    else if (TENSOR.data.includes(field.number)) bytes += field.end - file.position;
    else if (field.number === TENSOR.externalData) readEntry(file, field.end, place);
  }
  const location = place.get('location');
  if (location !== undefined) {
    bytes = Number(place.get('length') ?? 0);
    const least = Number(place.get('offset') ?? 0) + bytes;
    outline.externalData.set(location, Math.max(least, outline.externalData.get(location) ?? 0));
  }
  add(outline.weightBytes, TYPES[type] ?? `type ${type}`, bytes);
}

/** A `StringStringEntryProto`. */
function readEntry(file: ProtobufFile, end: number, into: Map<string, string>): void {
  let key = '';
  let value = '';
  for (const field of file.fields(end)) {
    if (field.number === 1) key = file.text(field.end);
    else if (field.number === 2) value = file.text(field.end);
  }
  into.set(key, value);
}

function add(counts: Map<string, number>, key: string, amount: number): void {
  counts.set(key, (counts.get(key) ?? 0) + amount);
}

// Field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
const MODEL_GRAPH = 7;
const GRAPH = { node: 1, initializer: 5 };
const NODE = { operator: 4, attribute: 5 };
const ATTRIBUTE = { tensor: 5, graph: 6, tensors: 10, graphs: 11 };
/** `data`: float, int32, string, int64, raw, double and uint64 data, of which a tensor has one. */
const TENSOR = { dataType: 2, data: [4, 5, 6, 7, 9, 10, 11], externalData: 13 };
/** `TensorProto.DataType` by number. */
const TYPES: readonly string[] = [
  'undefined',
  'float32',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'float64',
  'uint32',
  'uint64',
  'complex64',
  'complex128',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'uint4',
  'int4',
];
