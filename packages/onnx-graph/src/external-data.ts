import { closeSync, openSync, writeSync } from 'node:fs';
import { basename } from 'node:path';

/** Where a tensor's bytes lie in an external data file. */
export interface ExternalRange {
  /** File name, relative to the model file. */
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** ONNX asks for page-aligned offsets so that the runtime can map the file instead of reading it. */
const ALIGNMENT = 4096;

/**
 * The file beside an `.onnx` file that holds its large weights (a model in one file ends at 2 GiB, protobuf's limit).
 * Tensors are appended as they are built, so that a model larger than memory can be written.
 */
export class ExternalDataFile {
  readonly #descriptor: number;
  readonly #location: string;
  #offset = 0;

  /** Creates or truncates `path`; the `.onnx` file must come to lie in the same folder. */
  constructor(path: string) {
    this.#descriptor = openSync(path, 'w');
    this.#location = basename(path);
  }

  append(bytes: Uint8Array): ExternalRange {
    const offset = Math.ceil(this.#offset / ALIGNMENT) * ALIGNMENT;
    let written = 0;
    while (written < bytes.byteLength) {
      written += writeSync(this.#descriptor, bytes, written, bytes.byteLength - written, offset + written);
    }
    this.#offset = offset + bytes.byteLength;
    return { location: this.#location, offset, length: bytes.byteLength };
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
