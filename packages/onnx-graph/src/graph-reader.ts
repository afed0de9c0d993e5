import { GRAPH, MODEL, NODE, type NodeOutline } from './graph-builder.ts';
import { type MessageField, messageFields, textOf } from './message-reader.ts';

/** A node as it stands in a model: its parts, and its bytes to be written as they are. */
export interface GraphNode extends NodeOutline {
  /** Contents of its `AttributeProto`s. */
  readonly attributes: readonly Uint8Array[];
  readonly field: MessageField;
}

/** An input, output or initializer: its name, and its bytes. */
export interface NamedField {
  readonly name: string;
  readonly field: MessageField;
}

/** A `ModelProto` taken apart, as far as somebody who rewrites its graph must know it. */
export interface ModelParts {
  /** All fields of the model but the graph. */
  readonly around: readonly MessageField[];
  /** In execution order, as ONNX demands. */
  readonly nodes: readonly GraphNode[];
  readonly initializers: readonly NamedField[];
  readonly inputs: readonly NamedField[];
  readonly outputs: readonly NamedField[];
}

/** @throws Error when the bytes are no ONNX model with one graph */
export function readModel(model: Uint8Array): ModelParts {
  const fields = [...messageFields(model)];
  const graph = fields.find(({ number }) => number === MODEL.graph);
  if (graph === undefined) throw new Error('there is no graph in the model');
  const parts = [...messageFields(graph.bytes)];
  const named = (number: number, nameField: number): NamedField[] =>
    parts.filter((field) => field.number === number).map((field) => ({ name: nameIn(field, nameField), field }));
  return {
    around: fields.filter((field) => field !== graph),
    nodes: parts.filter(({ number }) => number === GRAPH.node).map(readNode),
    initializers: named(GRAPH.initializer, 8),
    inputs: named(GRAPH.input, 1),
    outputs: named(GRAPH.output, 1),
  };
}

function readNode(field: MessageField): GraphNode {
  const fields = [...messageFields(field.bytes)];
  const texts = (number: number): string[] => fields.filter((part) => part.number === number).map(textOf);
  return {
    operator: texts(NODE.operator)[0] ?? '',
    domain: texts(NODE.domain)[0] ?? '',
    operands: texts(NODE.input),
    outputs: texts(NODE.output),
    attributes: fields.filter(({ number }) => number === NODE.attribute).map(({ bytes }) => bytes),
    field,
  };
}

function nameIn(field: MessageField, number: number): string {
  for (const part of messageFields(field.bytes)) if (part.number === number) return textOf(part);
  return '';
}
