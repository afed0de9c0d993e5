/**
 * The part of the protocol buffers wire format that an ONNX file needs: varints, 32-bit floats and length-delimited
 * fields (https://protobuf.dev/programming-guides/encoding/). Fields are appended in call order; a message inside
 * another is written by building it first.
 *
 * A library would bring a reader, reflection and an install script for nine message types that are only ever written;
 * chunks also let a large weight pass through without a copy per nesting level.
 */
export class MessageWriter {
  readonly #chunks: Uint8Array[] = [];
  #byteLength = 0;

  /** An int32, int64, enum or bool field. `value` must be a safe integer or a bigint; negatives take ten bytes. */
  integer(field: number, value: number | bigint): this {
    this.#tag(field, WIRE_VARINT);
    return this.#varint(BigInt.asUintN(64, BigInt(value)));
  }

  float(field: number, value: number): this {
    this.#tag(field, WIRE_FIXED32);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#append(bytes);
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, WIRE_LENGTH_DELIMITED);
    return this.#varint(BigInt(value.byteLength)).#append(value);
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, value: MessageWriter): this {
    this.#tag(field, WIRE_LENGTH_DELIMITED);
    this.#varint(BigInt(value.#byteLength));
    for (const chunk of value.#chunks) this.#append(chunk);
    return this;
  }

  /** A whole field, tag included, as it stood in another message. */
  field(whole: Uint8Array): this {
    return this.#append(whole);
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#byteLength);
    let offset = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return bytes;
  }

  #tag(field: number, wireType: number): void {
    this.#varint(BigInt((field << 3) | wireType));
  }

  #varint(value: bigint): this {
    const bytes: number[] = [];
    let rest = value;
    while (rest > 0x7fn) {
      bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    return this.#append(Uint8Array.from(bytes));
  }

  #append(chunk: Uint8Array): this {
    this.#chunks.push(chunk);
    this.#byteLength += chunk.byteLength;
    return this;
  }
}

const WIRE_VARINT = 0;
const WIRE_LENGTH_DELIMITED = 2;
const WIRE_FIXED32 = 5;
