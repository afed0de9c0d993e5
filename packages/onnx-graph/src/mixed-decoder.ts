import {
  type Attribute,
  attributeMessage,
  type Dimension,
  GRAPH,
  MODEL,
  nodeMessage,
  TENSOR,
  valueInfo,
} from './graph-builder.ts';
import { type GraphNode, type ModelParts, type NamedField, readModel } from './graph-reader.ts';
import { messageFields, textOf } from './message-reader.ts';
import { isRowWise } from './row-wise-operators.ts';
import { MessageWriter } from './wire.ts';

/** The graph cannot be rewritten so that it surely computes the same. */
export class UnsupportedGraphError extends Error {
  override readonly name = 'UnsupportedGraphError';
}

export interface MixedDecoderOptions {
  /** Where a file of weights is found, given where the model says it is. Default: there. */
  locate?: ((location: string) => string) | undefined;
}

/** Whose tokens they are: one of each sequence that decodes, several of the prompt that rides along. */
const GROUPS = ['decode', 'chunk'] as const;
type Group = (typeof GROUPS)[number];

/**
 * Rewrites a decoder for mixed passes: one token of each of several sequences, and a chunk of one prompt. All tokens go
 * through the model in one row, `[1, tokens]`; only attention is done for the two groups apart, each with its own cache.
 * Operators that do not treat positions one by one are refused, so whatever is accepted computes what separate passes
 * do; whether to the last bit is up to the kernels.
 *
 * In: a decoder with `GroupQueryAttention` in the naming of onnxruntime-genai and onnx-community. Out, for D sequences,
 * C tokens of a prompt and any R:
 * - `input_ids [1, D + C]`, those that decode first; `position_ids` of the same shape where the decoder takes it
 * - `group_sizes [2]` int64: D, C. `logits_index [1, R]` int64: of which tokens the logits are asked
 * - `{decode,chunk}.seqlens_k [D], [1]` int32: positions held; of the chunk, those with it, less one.
 *   `{decode,chunk}.total_sequence_length []` int32: positions of the longest, new ones included
 * - `{decode,chunk}.past_key_values.N.{key,value}` and `.present.…` as before, of D rows and of one
 * - `logits [1, R, vocab]`
 *
 * Initializers stay what they were, names included, so that both graphs can share them.
 *
 * @throws UnsupportedGraphError with the reason
 */
export function mixedDecoder(model: Uint8Array, options: MixedDecoderOptions = {}): Uint8Array {
  return new MixedGraph(readModel(model), options).build();
}

interface WrittenNode {
  readonly operands: readonly string[];
  readonly outputs: readonly string[];
  readonly message: MessageWriter;
  /** What it was; absent for those that are new. */
  readonly original?: GraphNode;
}

class MixedGraph {
  readonly #model: ModelParts;
  readonly #locate: (location: string) => string;
  readonly #producers: ReadonlyMap<string, GraphNode>;
  readonly #constants: ReadonlySet<string>;
  readonly #inputs = new Map<string, MessageWriter>();
  readonly #outputs = new Map<string, MessageWriter>();
  readonly #nodes: WrittenNode[] = [];
  /** Which positions' logits are computed: names that hold them, where the decoder has that already. */
  readonly #positions = new Set(['logits_index']);

  constructor(model: ModelParts, { locate = (location) => location }: MixedDecoderOptions) {
    this.#model = model;
    this.#locate = locate;
    this.#producers = new Map(model.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
    const constants = model.nodes.filter(({ operator }) => operator === 'Constant').flatMap(({ outputs }) => outputs);
    this.#constants = new Set([...model.initializers.map(({ name }) => name), ...constants]);
  }

  build(): Uint8Array {
    const logits = this.#value(this.#model.outputs, 'logits');
    this.#addInputs();
    this.#outputs.set('logits', reshaped(logits, 'logits', [1, 'R', lastDimension(logits)]));
    const head = this.#takesPositions() ? undefined : this.#headOf('logits');
    for (const node of this.#model.nodes) {
      if (node.operator === 'GroupQueryAttention') this.#splitAttention(node);
      else if (node === head) this.#selectPositions(node);
      else this.#keep(node);
    }
    if (this.#outputs.size === 1) throw new UnsupportedGraphError('it has no GroupQueryAttention');
    return this.#write();
  }

  #addInputs(): void {
    for (const name of ['input_ids', 'position_ids']) {
      const given = this.#model.inputs.find((input) => input.name === name);
      if (given !== undefined) this.#inputs.set(name, reshaped(given, name, [1, 'tokens']));
    }
    this.#inputs.set('group_sizes', valueInfo('group_sizes', 'int64', [2]));
    this.#inputs.set('logits_index', valueInfo('logits_index', 'int64', [1, 'R']));
    for (const group of GROUPS) {
      const lengths = `${group}.seqlens_k`;
      this.#inputs.set(lengths, valueInfo(lengths, 'int32', [group === 'chunk' ? 1 : 'D']));
      const total = `${group}.total_sequence_length`;
      this.#inputs.set(total, valueInfo(total, 'int32', []));
    }
  }

  #takesPositions(): boolean {
    return this.#model.inputs.some(({ name }) => name === 'logits_index');
  }

  /** The product that makes logits out of hidden states, behind which elements are computed one by one. */
  #headOf(output: string): GraphNode {
    const node = this.#producers.get(output);
    if (node?.operator === 'MatMul' || node?.operator === 'MatMulNBits') return node;
    const [operand] = node?.operands ?? [];
    if (node === undefined || operand === undefined || !['Cast', 'Mul', 'Div', 'Tanh'].includes(node.operator)) {
      throw new UnsupportedGraphError(`its logits come from ${node?.operator ?? 'nowhere'}, not from a product`);
    }
    return this.#headOf(operand);
  }

  #splitAttention(node: GraphNode): void {
    const [query = '', key = '', value = '', pastKey = '', pastValue = '', , , ...rest] = node.operands;
    const [out = '', ...presents] = node.outputs;
    if (rest.some((operand) => operand !== '' && !this.#constants.has(operand))) {
      throw new UnsupportedGraphError('its attention takes more than a cache: positions or a bias');
    }
    const parts = [query, key, value].map((operand) => (operand === '' ? ['', ''] : this.#split(operand)));
    const results = GROUPS.map((group, index) => {
      const named = (name: string): string => `${group}.${name}`;
      for (const past of [pastKey, pastValue]) {
        this.#inputs.set(named(past), ofGroup(this.#value(this.#model.inputs, past), group));
      }
      for (const present of presents) {
        this.#outputs.set(named(present), ofGroup(this.#value(this.#model.outputs, present), group));
      }
      const lengths = [named('seqlens_k'), named('total_sequence_length')];
      const operands = [
        ...parts.map((part) => part[index] ?? ''),
        named(pastKey),
        named(pastValue),
        ...lengths,
        ...rest,
      ];
      this.#add({ ...node, operands, outputs: [named(out), ...presents.map(named)] }, copies(node));
      return named(out);
    });
    const [decoded = '', chunk = ''] = results;
    this.#new('Concat', [this.#turn(decoded), chunk], [out], { axis: { int: 1 } });
  }

  /** `[1, D + C, width]` to `[D, 1, width]` and `[1, C, width]`. */
  #split(operand: string): string[] {
    const parts = GROUPS.map((group) => `${group}.of.${operand}`);
    if (!this.#nodes.some(({ outputs }) => outputs.includes(parts[0] ?? ''))) {
      this.#new('Split', [operand, 'group_sizes'], parts, { axis: { int: 1 } });
    }
    const [decode = '', chunk = ''] = parts;
    return [this.#turn(decode), chunk];
  }

  /** `[1, n, width]` to `[n, 1, width]`, and back: no element moves. */
  #turn(operand: string): string {
    const turned = `${operand}.turned`;
    this.#new('Transpose', [operand], [turned], { perm: { ints: [1, 0, 2] } });
    return turned;
  }

  #selectPositions(node: GraphNode): void {
    const [hidden = '', ...weights] = node.operands;
    this.#new('Unsqueeze', ['logits_index', this.#lastAxis()], ['logits_index.paired']);
    this.#new('GatherND', [hidden, 'logits_index.paired'], ['logits_index.hidden'], { batch_dims: { int: 1 } });
    this.#add({ ...node, operands: ['logits_index.hidden', ...weights] }, copies(node));
  }

  #lastAxis(): string {
    this.#new('Constant', [], ['logits_index.axis'], { value_ints: { ints: [-1] } });
    return 'logits_index.axis';
  }

  #keep(node: GraphNode): void {
    const message = new MessageWriter().field(node.field.bytes);
    this.#nodes.push({ operands: node.operands, outputs: node.outputs, message, original: node });
  }

  #new(operator: string, operands: string[], outputs: string[], attributes: Record<string, Attribute> = {}): void {
    const messages = Object.entries(attributes).map(([name, attribute]) => attributeMessage(name, attribute));
    this.#add({ operator, domain: '', operands, outputs }, messages);
  }

  #add(node: Pick<GraphNode, 'operator' | 'domain' | 'operands' | 'outputs'>, attributes: MessageWriter[]): void {
    const { operands, outputs } = node;
    this.#nodes.push({ operands, outputs, message: nodeMessage(node, attributes) });
  }

  #value(values: readonly NamedField[], name: string): NamedField {
    const value = values.find((one) => one.name === name);
    if (value === undefined) throw new UnsupportedGraphError(`${name} is no input or output of it`);
    return value;
  }

  #write(): Uint8Array {
    const { nodes, needed } = this.#needed();
    for (const { original } of nodes) if (original !== undefined) this.#requireRowWise(original);
    const graph = new MessageWriter();
    for (const { message } of nodes) graph.message(GRAPH.node, message);
    graph.string(GRAPH.name, 'mixed');
    for (const { name, field } of this.#model.initializers) {
      if (needed.has(name)) graph.message(GRAPH.initializer, relocated(field.bytes, this.#locate));
    }
    for (const { name } of this.#model.inputs) {
      const gone = needed.has(name) && !this.#inputs.has(name) && !this.#constants.has(name);
      if (gone) throw new UnsupportedGraphError(`it needs ${name} for more than attention`);
    }
    for (const [name, input] of this.#inputs) if (needed.has(name)) graph.message(GRAPH.input, input);
    for (const output of this.#outputs.values()) graph.message(GRAPH.output, output);
    const model = new MessageWriter();
    for (const { whole } of this.#model.around) model.field(whole);
    return model.message(MODEL.graph, graph).toBytes();
  }

  /** What the outputs depend on: what made lengths of a mask, for one, is of no use any more. */
  #needed(): { nodes: WrittenNode[]; needed: Set<string> } {
    const needed = new Set(this.#outputs.keys());
    const nodes = this.#nodes.toReversed().filter(({ outputs, operands }) => {
      if (!outputs.some((name) => needed.has(name))) return false;
      for (const operand of operands) needed.add(operand);
      return true;
    });
    return { nodes: nodes.toReversed(), needed };
  }

  #requireRowWise(node: GraphNode): void {
    // Which positions are asked for, in the decoder's own way.
    if (node.operands.some((operand) => this.#positions.has(operand)) && node.operator !== 'GatherND') {
      for (const output of node.outputs) this.#positions.add(output);
      return;
    }
    if (node.operator === 'GatherND' && this.#positions.has(node.operands[1] ?? '')) return;
    if (isRowWise(node, (operand) => this.#constants.has(operand))) return;
    throw new UnsupportedGraphError(`${node.operator} may not treat every position by itself`);
  }
}

/** A `TensorProto` whose contents lie elsewhere. */
function relocated(tensor: Uint8Array, locate: (location: string) => string): MessageWriter {
  const writer = new MessageWriter();
  for (const part of messageFields(tensor)) {
    const [key, value] = part.number === TENSOR.externalData ? [...messageFields(part.bytes)] : [];
    if (key === undefined || value === undefined || textOf(key) !== 'location') writer.field(part.whole);
    else {
      const entry = new MessageWriter().string(1, 'location').string(2, locate(textOf(value)));
      writer.message(TENSOR.externalData, entry);
    }
  }
  return writer;
}

function copies(node: GraphNode): MessageWriter[] {
  return node.attributes.map((bytes) => new MessageWriter().field(bytes));
}

/** The `ValueInfoProto` with another name and shape. */
function reshaped(value: NamedField, name: string, shape: readonly Dimension[]): MessageWriter {
  const dimensions = new MessageWriter();
  for (const size of shape) {
    dimensions.message(
      1,
      typeof size === 'number' ? new MessageWriter().integer(1, size) : new MessageWriter().string(2, size),
    );
  }
  const tensorType = new MessageWriter();
  for (const part of tensorTypeOf(value)) if (part.number === 1) tensorType.field(part.whole);
  tensorType.message(2, dimensions);
  return new MessageWriter().string(1, name).message(2, new MessageWriter().message(1, tensorType));
}

/** The same under the group's name, its sizes that are known when the graph runs the group's own. */
function ofGroup(value: NamedField, group: Group): MessageWriter {
  const name = `${group}.${value.name}`;
  return reshaped(
    value,
    name,
    dimensionsOf(value).map((size, axis) => size ?? `${name}.${axis}`),
  );
}

function lastDimension(value: NamedField): number {
  const size = dimensionsOf(value).at(-1);
  if (size === undefined) throw new UnsupportedGraphError(`it does not say how wide ${value.name} is`);
  return size;
}

/** Sizes; undefined for those known only when the graph runs. */
function dimensionsOf(value: NamedField): (number | undefined)[] {
  const shape = tensorTypeOf(value).find(({ number }) => number === 2);
  return [...messageFields(shape?.bytes ?? new Uint8Array())].map((dimension) => {
    const size = [...messageFields(dimension.bytes)].find(({ number }) => number === 1);
    return size === undefined ? undefined : Number(size.value);
  });
}

/** The fields of the `TypeProto.Tensor` of a `ValueInfoProto`. */
function tensorTypeOf({ name, field }: NamedField): ReturnType<typeof fieldsOf> {
  const type = fieldsOf(field.bytes).find(({ number }) => number === 2);
  const tensor = fieldsOf(type?.bytes ?? new Uint8Array()).find(({ number }) => number === 1);
  if (tensor === undefined) throw new UnsupportedGraphError(`${name} is no tensor`);
  return fieldsOf(tensor.bytes);
}

function fieldsOf(
  message: Uint8Array,
): ReturnType<typeof messageFields> extends Generator<infer Field> ? Field[] : never {
  return [...messageFields(message)];
}
