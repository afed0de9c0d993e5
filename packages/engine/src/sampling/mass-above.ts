/** Of WebAssembly, which is part of Node, and whose types are not: what is used here. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Of the first `end` bytes of memory, at least 16 of them and a multiple of 16. */
  sum(end: number, bound: number): number;
}

/**
 * Sums of probabilities above a bound, four at a time: WebAssembly has vector instructions, JavaScript has none, and this
 * sum was most of what choosing from a nucleus cost. The module, in WebAssembly's text format, written out in bytes below:
 *
 * (module
 *   (memory (export "memory") 1)
 *   (func (export "sum") (param $end i32) (param $bound f32) (result f64)
 *     (local $at i32) (local $low v128) (local $high v128) (local $kept v128) (local $bounds v128)
 *     (local.set $bounds (f32x4.splat (local.get $bound)))
 *     (loop
 *       (local.tee $kept (v128.load (local.get $at)))
 *       (local.tee $kept (v128.and (f32x4.gt (local.get $kept) (local.get $bounds))))
 *       (local.set $low (f64x2.add (f64x2.promote_low_f32x4) (local.get $low)))
 *       (i8x16.shuffle 8 … 15 8 … 15 (local.get $kept) (local.get $kept))
 *       (local.set $high (f64x2.add (f64x2.promote_low_f32x4) (local.get $high)))
 *       (local.tee $at (i32.add (local.get $at) (i32.const 16)))
 *       (br_if 0 (i32.lt_u (local.get $end))))
 *     (local.tee $low (f64x2.add (local.get $low) (local.get $high)))
 *     (f64.add (f64x2.extract_lane 0) (f64x2.extract_lane 1 (local.get $low)))))
 */
const END = 0;
const BOUND = 1;
const AT = 2;
const LOW = 3;
const HIGH = 4;
const KEPT = 5;
const BOUNDS = 6;

const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const tee = (local: number): number[] => [0x22, local];
const vector = (...operation: number[]): number[] => [0xfd, ...operation];
const counted = (bytes: readonly number[]): number[] =>
  bytes.length < 128 ? [bytes.length, ...bytes] : [(bytes.length & 127) | 128, bytes.length >> 7, ...bytes];
const named = (name: string): number[] => counted([...Buffer.from(name)]);

const [I32, F32, F64, V128] = [0x7f, 0x7d, 0x7c, 0x7b];
const SPLAT = [0x13];
const LOAD = [0, 4, 0];
const ADD = [0xf0, 1];
const [GT, AND, PROMOTE, SHUFFLE, LANE] = [0x44, 0x4e, 0x5f, 0x0d, 0x21];
const UPPER_HALF = [8, 9, 10, 11, 12, 13, 14, 15];

const body = [
  [2, 1, I32, 4, V128],
  [get(BOUND), vector(...SPLAT), set(BOUNDS)],
  [0x03, 0x40],
  [get(AT), vector(...LOAD), tee(KEPT)],
  [get(KEPT), get(BOUNDS), vector(GT), vector(AND), tee(KEPT)],
  [vector(PROMOTE), get(LOW), vector(...ADD), set(LOW)],
  [get(KEPT), get(KEPT), vector(SHUFFLE, ...UPPER_HALF, ...UPPER_HALF)],
  [vector(PROMOTE), get(HIGH), vector(...ADD), set(HIGH)],
  [get(AT), [0x41, 16, 0x6a], tee(AT), get(END), [0x49, 0x0d, 0], 0x0b],
  [get(LOW), get(HIGH), vector(...ADD), tee(LOW), vector(LANE, 0), get(LOW), vector(LANE, 1), 0xa0],
  [0x0b],
].flat(2);

const entry = (id: number, ...content: number[]): number[] => [id, ...counted(content)];
const module = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...entry(1, 1, 0x60, 2, I32, F32, 1, F64),
  ...entry(3, 1, 0),
  ...entry(5, 1, 0, 1),
  ...entry(7, 2, ...named('memory'), 2, 0, ...named('sum'), 0, 0),
  ...entry(10, 1, ...counted(body)),
]);
const { memory, sum } = new WebAssembly.Instance(new WebAssembly.Module(module)).exports as Exports;
const piece = new Float32Array(memory.buffer);
const LANES = 4;

/**
 * The sum, in double precision, of the probabilities `from` … `to − 1` that are larger than `bound`.
 *
 * @param bound a float32 number, at least 0
 */
export function massAbove(probabilities: Float32Array, from: number, to: number, bound: number): number {
  let mass = 0;
  for (let start = from; start < to; start += piece.length) {
    const end = Math.min(start + piece.length, to);
    piece.set(probabilities.subarray(start, end));
    let length = end - start;
    while (length % LANES > 0) piece[length++] = 0;
    mass += sum(length * Float32Array.BYTES_PER_ELEMENT, bound);
  }
  return mass;
}
