/** One field of a protocol buffers message. */
export interface MessageField {
  readonly number: number;
  /** Of a varint; 0 otherwise. */
  readonly value: bigint;
  /** Contents of a length-delimited field: a view; empty otherwise. */
  readonly bytes: Uint8Array;
  /** The whole field, tag included: a view. */
  readonly whole: Uint8Array;
}

/**
 * The fields of a message that lies in memory, in their order
 * (https://protobuf.dev/programming-guides/encoding/).
 *
 * @throws Error when the bytes are no message
 */
export function* messageFields(message: Uint8Array): Generator<MessageField, void, undefined> {
  let position = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[position++];
      if (byte === undefined) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new Error('the bytes are no protocol buffers message');
  };
  while (position < message.byteLength) {
    const start = position;
    const tag = Number(varint());
    const wire = tag & 7;
    let value = 0n;
    let contents = position;
    if (wire === 0) value = varint();
    else if (wire === 1) position += 8;
    else if (wire === 5) position += 4;
    else if (wire === 2) {
      const length = Number(varint());
      contents = position;
      position += length;
    } else throw new Error('the bytes are no protocol buffers message');
    if (position > message.byteLength) throw new Error('the bytes end inside a field');
    const bytes = wire === 2 ? message.subarray(contents, position) : message.subarray(0, 0);
    yield { number: tag >>> 3, value, bytes, whole: message.subarray(start, position) };
  }
}

/** The text of a length-delimited field. */
export function textOf(field: MessageField): string {
  return new TextDecoder().decode(field.bytes);
}
