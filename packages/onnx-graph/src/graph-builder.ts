import { ELEMENT_TYPES, type ElementType } from './element-type.ts';
import type { ExternalDataFile } from './external-data.ts';
import { MessageWriter } from './wire.ts';

/** A dimension: a size, or the name of one that is known only when the graph runs. */
export type Dimension = number | string;

/** A node's attribute. ONNX tells integers from floats, a JavaScript number does not: hence the key. */
export type Attribute =
  | { readonly int: number | bigint }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] };

export interface NodeOptions {
  /** Operator domain; '' is ONNX itself. It must be among the graph's opsets. */
  domain?: string;
  attributes?: Readonly<Record<string, Attribute>>;
  /** Names of the outputs; one generated name when absent. */
  outputs?: readonly string[];
}

export interface GraphOptions {
  name: string;
  /** Opset version per domain. Default: ONNX 21 and com.microsoft 1 (the runtime's own operators). */
  opsets?: Readonly<Record<string, number>>;
}

/** IR version 10 goes with opset 21 (https://github.com/onnx/onnx/blob/main/docs/Versioning.md). */
const IR_VERSION = 10;
const DEFAULT_OPSETS: Readonly<Record<string, number>> = { '': 21, 'com.microsoft': 1 };

/**
 * Builds one ONNX graph. Values are named by strings: `input`, `initializer` and `node` return the name to use as an
 * operand of later nodes. Nodes must be added in execution order.
 *
 * @throws Error when a name is defined twice, an operand is not defined yet, a domain has no opset, or data does not
 * fit its shape.
 */
export class GraphBuilder {
  readonly #name: string;
  readonly #opsets: Readonly<Record<string, number>>;
  readonly #defined = new Set<string>();
  readonly #inputs: MessageWriter[] = [];
  readonly #outputs: MessageWriter[] = [];
  readonly #initializers: MessageWriter[] = [];
  readonly #nodes: MessageWriter[] = [];

  constructor(options: GraphOptions) {
    this.#name = options.name;
    this.#opsets = options.opsets ?? DEFAULT_OPSETS;
  }

  input(name: string, type: ElementType, shape: readonly Dimension[]): string {
    this.#define(name);
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  /** Declares the already computed value `name` an output of the graph. */
  output(name: string, type: ElementType, shape: readonly Dimension[]): void {
    this.#require(name, 'the graph output');
    this.#outputs.push(valueInfo(name, type, shape));
  }

  /**
   * A constant, little-endian row-major bytes or a typed array of the element type. With `file`, its bytes go there
   * and the graph only points at them.
   */
  initializer(
    name: string,
    type: ElementType,
    shape: readonly number[],
    data: ArrayBufferView,
    file?: ExternalDataFile,
  ): string {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const expected = shape.reduce((product, size) => product * size, ELEMENT_TYPES[type].bytes);
    if (bytes.byteLength !== expected) {
      throw new Error(
        `initializer ${name}: ${type} [${shape.join(', ')}] takes ${expected} bytes, got ${bytes.byteLength}`,
      );
    }
    this.#define(name);
    const tensor = new MessageWriter();
    for (const size of shape) tensor.integer(TENSOR.dims, size);
    tensor.integer(TENSOR.dataType, ELEMENT_TYPES[type].onnx).string(TENSOR.name, name);
    if (file === undefined) {
      tensor.bytes(TENSOR.rawData, bytes);
    } else {
      const range = file.append(bytes);
      for (const [key, value] of Object.entries(range)) {
        tensor.message(TENSOR.externalData, new MessageWriter().string(1, key).string(2, String(value)));
      }
      tensor.integer(TENSOR.dataLocation, DATA_LOCATION_EXTERNAL);
    }
    this.#initializers.push(tensor);
    return name;
  }

  /** An int64 constant: a scalar for a number, a vector for an array. */
  int64(name: string, value: number | readonly number[]): string {
    const values = typeof value === 'number' ? [value] : value;
    return this.initializer(
      name,
      'int64',
      typeof value === 'number' ? [] : [value.length],
      BigInt64Array.from(values, BigInt),
    );
  }

  /** Adds a node and returns its first output. An operand '' stands for an optional input that is left out. */
  node(operator: string, operands: readonly string[], options: NodeOptions = {}): string {
    const domain = options.domain ?? '';
    if (this.#opsets[domain] === undefined) throw new Error(`node ${operator}: no opset for domain "${domain}"`);
    for (const operand of operands) if (operand !== '') this.#require(operand, `node ${operator}`);
    const outputs = options.outputs ?? [`${operator}_${this.#nodes.length}`];
    const [first] = outputs;
    if (first === undefined) throw new Error(`node ${operator}: it needs an output`);
    for (const output of outputs) if (output !== '') this.#define(output);
    const attributes = Object.entries(options.attributes ?? {});
    const node = nodeMessage(
      { operator, domain, operands, outputs },
      attributes.map(([name, attribute]) => attributeMessage(name, attribute)),
    );
    this.#nodes.push(node);
    return first;
  }

  /** The model file's bytes (a `ModelProto`). */
  toBytes(): Uint8Array {
    const graph = new MessageWriter();
    for (const node of this.#nodes) graph.message(GRAPH.node, node);
    graph.string(GRAPH.name, this.#name);
    for (const tensor of this.#initializers) graph.message(GRAPH.initializer, tensor);
    for (const input of this.#inputs) graph.message(GRAPH.input, input);
    for (const output of this.#outputs) graph.message(GRAPH.output, output);
    const model = new MessageWriter().integer(MODEL.irVersion, IR_VERSION).string(MODEL.producer, 'shoal');
    model.message(MODEL.graph, graph);
    for (const [domain, version] of Object.entries(this.#opsets)) {
      model.message(MODEL.opset, new MessageWriter().string(1, domain).integer(2, version));
    }
    return model.toBytes();
  }

  #define(name: string): void {
    if (this.#defined.has(name)) throw new Error(`graph ${this.#name}: value "${name}" is defined twice`);
    this.#defined.add(name);
  }

  #require(name: string, user: string): void {
    if (!this.#defined.has(name)) throw new Error(`graph ${this.#name}: ${user} uses undefined value "${name}"`);
  }
}

/** What a node says of itself, besides its attributes. */
export interface NodeOutline {
  readonly operator: string;
  readonly domain: string;
  readonly operands: readonly string[];
  readonly outputs: readonly string[];
}

/** A `NodeProto`; attributes are `AttributeProto`s. */
export function nodeMessage(node: NodeOutline, attributes: readonly MessageWriter[] = []): MessageWriter {
  const { operator, domain, operands, outputs } = node;
  const message = new MessageWriter();
  for (const operand of operands) message.string(NODE.input, operand);
  for (const output of outputs) message.string(NODE.output, output);
  message.string(NODE.name, `${outputs[0] ?? ''}/${operator}`).string(NODE.operator, operator);
  for (const attribute of attributes) message.message(NODE.attribute, attribute);
  return message.string(NODE.domain, domain);
}

/** A `ValueInfoProto`. */
export function valueInfo(name: string, type: ElementType, shape: readonly Dimension[]): MessageWriter {
  const dimensions = new MessageWriter();
  for (const size of shape) {
    const dimension = new MessageWriter();
    dimensions.message(1, typeof size === 'number' ? dimension.integer(1, size) : dimension.string(2, size));
  }
  const tensorType = new MessageWriter().integer(1, ELEMENT_TYPES[type].onnx).message(2, dimensions);
  return new MessageWriter().string(1, name).message(2, new MessageWriter().message(1, tensorType));
}

/** An `AttributeProto`. */
export function attributeMessage(name: string, attribute: Attribute): MessageWriter {
  const message = new MessageWriter().string(ATTRIBUTE.name, name);
  if ('int' in attribute) return message.integer(ATTRIBUTE.int, attribute.int).integer(ATTRIBUTE.type, 2);
  if ('float' in attribute) return message.float(ATTRIBUTE.float, attribute.float).integer(ATTRIBUTE.type, 1);
  if ('string' in attribute) return message.string(ATTRIBUTE.string, attribute.string).integer(ATTRIBUTE.type, 3);
  for (const value of attribute.ints) message.integer(ATTRIBUTE.ints, value);
  return message.integer(ATTRIBUTE.type, 7);
}

// Field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
export const MODEL = { irVersion: 1, producer: 2, graph: 7, opset: 8 };
export const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12 };
export const NODE = { input: 1, output: 2, name: 3, operator: 4, attribute: 5, domain: 7 };
export const TENSOR = { dims: 1, dataType: 2, name: 8, rawData: 9, externalData: 13, dataLocation: 14 };
const ATTRIBUTE = { name: 1, float: 2, int: 3, string: 4, ints: 8, type: 20 };
const DATA_LOCATION_EXTERNAL = 1;
