import type { TunableRunner } from '../create-runner.ts';
import type { ModelRunner } from '../model-runner.ts';

/** Rows that decode at most, and tokens of the chunk: kernels choose their way by how many rows there are. */
const SIZES = [
  { most: 1, size: 2 },
  { most: 4, size: 33 },
  { most: 16, size: 9 },
];
/** Positions that rows hold, in turn. */
const LENGTHS = [7, 9, 3, 5, 11];
const FIRST_CHUNK = 6;

/** Leaves mixed passes only to a runner whose bits they do not change. */
export async function settleMixed(runner: TunableRunner): Promise<void> {
  if (runner.mixed !== undefined && !(await probeMixed(runner))) runner.mixed = undefined;
}

/**
 * Whether a decode step that carries a chunk computes the bits of a decode step and a pass over the chunk, as a few
 * short runs show; not a proof. Uses up to 17 rows and leaves them free.
 */
async function probeMixed(runner: ModelRunner): Promise<boolean> {
  for (const { most, size } of SIZES) {
    const rows = Math.min(most, runner.slots - 1);
    if (rows < 1 || FIRST_CHUNK + size + 1 > runner.maxLength) continue;
    const apart = await compute(runner, rows, size, false);
    const mixed = await compute(runner, rows, size, true);
    for (let slot = 0; slot <= rows; slot++) runner.freeSlot(slot);
    if (!apart.every((row, i) => row.every((value, id) => Object.is(value, mixed[i]?.[id])))) return false;
  }
  return true;
}

/** The logits of a decode step and of a chunk, then those of the next step, which reads what both left in the cache. */
async function compute(runner: ModelRunner, rows: number, size: number, together: boolean): Promise<Float32Array[]> {
  const tokens = (count: number, seed: number): number[] =>
    Array.from({ length: count }, (_, i) => 1 + (((seed + 37 * i) * 131) % Math.max(1, runner.vocabSize - 1)));
  const pasts = Array.from({ length: rows }, (_, row) => LENGTHS[row % LENGTHS.length] ?? 2);
  await runner.prefill(0, [...pasts.map((past, row) => tokens(past, row)), tokens(FIRST_CHUNK, 71)]);
  const inputs = tokens(rows, 13);
  const chunk = { past: FIRST_CHUNK, tokenIds: tokens(size, 29) };
  const logits: Float32Array[] = [];
  if (together && runner.mixed !== undefined) {
    const output = await runner.mixed(inputs, pasts, chunk);
    for (let row = 0; row <= rows; row++) logits.push(output.logits(row).slice());
  } else {
    const decoded = await runner.decode(inputs, pasts, FIRST_CHUNK);
    for (let row = 0; row < rows; row++) logits.push(decoded.logits(row).slice());
    logits.push((await runner.extend(rows, chunk.past, chunk.tokenIds)).logits(0).slice());
  }
  const next = await runner.decode(tokens(rows + 1, 17), [...pasts.map((past) => past + 1), FIRST_CHUNK + size], 0);
  for (let row = 0; row <= rows; row++) logits.push(next.logits(row).slice());
  return logits;
}
