import { ELEMENT_TYPES, type ElementType } from './element-type.ts';
import { TENSOR } from './graph-builder.ts';
import { readModel } from './graph-reader.ts';
import { messageFields, textOf } from './message-reader.ts';

/** An initializer whose contents lie in a file beside the model. */
export interface ExternalWeight {
  readonly name: string;
  /** Undefined for types that this package does not know, such as packed 4-bit integers. */
  readonly type: ElementType | undefined;
  readonly shape: readonly number[];
  /** Path relative to the model's folder. */
  readonly location: string;
  readonly offset: number;
}

/**
 * The initializers of a model that lie in files beside it.
 *
 * @throws Error when the bytes are no ONNX model
 */
export function externalWeights(model: Uint8Array): ExternalWeight[] {
  return readModel(model).initializers.flatMap(({ name, field }) => {
    const fields = [...messageFields(field.bytes)];
    const place = new Map(
      fields.filter(({ number }) => number === TENSOR.externalData).map((entry) => pair(entry.bytes)),
    );
    const location = place.get('location');
    if (location === undefined) return [];
    const code = Number(fields.find(({ number }) => number === TENSOR.dataType)?.value ?? 0n);
    return [
      { name, type: typeOf(code), shape: dimensions(fields), location, offset: Number(place.get('offset') ?? 0) },
    ];
  });
}

/** Written one by one, or packed into one field. */
function dimensions(fields: readonly { number: number; value: bigint; bytes: Uint8Array }[]): number[] {
  return fields
    .filter(({ number }) => number === TENSOR.dims)
    .flatMap(({ value, bytes }) => (bytes.byteLength === 0 ? [Number(value)] : packedIntegers(bytes)));
}

function packedIntegers(bytes: Uint8Array): number[] {
  const values: number[] = [];
  let [value, scale] = [0, 1];
  for (const byte of bytes) {
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte >= 0x80) continue;
    values.push(value);
    [value, scale] = [0, 1];
  }
  return values;
}

function typeOf(code: number): ElementType | undefined {
  const types = Object.keys(ELEMENT_TYPES) as ElementType[];
  return types.find((type) => ELEMENT_TYPES[type].onnx === code);
}

/** A `StringStringEntryProto`. */
function pair(entry: Uint8Array): [key: string, value: string] {
  const [key = '', value = ''] = [1, 2].map((wanted) => {
    const field = [...messageFields(entry)].find(({ number }) => number === wanted);
    return field === undefined ? '' : textOf(field);
  });
  return [key, value];
}
