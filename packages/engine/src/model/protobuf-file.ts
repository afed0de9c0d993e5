import { readSync } from 'node:fs';

/** The bytes end before what they announce, or are no protobuf message at all. */
export class TruncatedError extends Error {
  override readonly name = 'TruncatedError';
}

interface Field {
  number: number;
  /** Of a varint. */
  value: number;
  /** Position behind the field's contents. */
  end: number;
}

const WINDOW = 64 * 1024;
/** Longest text that is read; ONNX names and keys are far shorter. */
const LONGEST_TEXT = 4096;

/**
 * Walks through a protobuf message in a file, field by field, reading only what is looked at
 * (https://protobuf.dev/programming-guides/encoding).
 */
export class ProtobufFile {
  readonly #descriptor: number;
  readonly #window: Buffer = Buffer.alloc(WINDOW);
  #windowStart = 0;
  #windowLength = 0;
  #position = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Where the field that was yielded last has its contents. */
  get position(): number {
    return this.#position;
  }

  /** The fields from here to `end`. Whoever gets one may read its contents, as a message by calling this again. */
  *fields(end: number): Generator<Field, void, undefined> {
    while (this.#position < end) {
      const tag = this.#varint();
      const field = { number: Math.floor(tag / 8), value: 0, end: this.#position };
      const wireType = tag % 8;
      if (wireType === 0) {
        field.value = this.#varint();
        field.end = this.#position;
      } else if (wireType === 1) field.end += 8;
      else if (wireType === 5) field.end += 4;
      else if (wireType === 2) {
        const length = this.#varint();
        field.end = this.#position + length;
      } else throw new TruncatedError(`byte ${this.#position} is not part of an ONNX file`);
      if (field.end > end) throw new TruncatedError(`it ends at byte ${end}, inside a field of ${field.end} bytes`);
      yield field;
      this.#position = field.end;
    }
  }

  /** The text from here to `end`. */
  text(end: number): string {
    const length = end - this.#position;
    if (length > LONGEST_TEXT) throw new TruncatedError(`a name has ${length} bytes`);
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#byte();
    return bytes.toString('utf8');
  }

  /** Up to 2^53 exactly; more is no length, and as a value not looked at. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new TruncatedError(`byte ${this.#position} is not part of an ONNX file`);
  }

  #byte(): number {
    if (this.#position < this.#windowStart || this.#position >= this.#windowStart + this.#windowLength) {
      this.#windowStart = this.#position;
      this.#windowLength = readSync(this.#descriptor, this.#window, 0, WINDOW, this.#position);
      if (this.#windowLength === 0) throw new TruncatedError(`it ends at byte ${this.#position}`);
    }
    const byte = this.#window[this.#position - this.#windowStart] ?? 0;
    this.#position += 1;
    return byte;
  }
}
