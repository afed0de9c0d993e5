import type { ModelRunner, StepOutput } from './model-runner.ts';

/** Whether a row's bits stay the same … as two or three short runs at load time showed. Not a proof. */
export interface Invariance {
  /** … when others decode beside it. */
  batch: boolean;
  /** … when its prompt is padded to the length of others. */
  padding: boolean;
  /** … when its prompt is computed in chunks. */
  chunk: boolean;
  /** … when everything is computed again. */
  replay: boolean;
}

const LENGTH = 7;
/** Lengths of those beside it, in turn: kernels choose their way by the number of rows, so there are many of them. */
const COMPANY_LENGTHS = [9, 3, 2, 4];
const MOST_ROWS = 32;
const FIRST_CHUNK = 4;
const DECODE_STEPS = 3;

/** Computes the same short text in several ways and compares the bits. Uses up to 32 rows and leaves them free. */
export async function probeInvariance(runner: ModelRunner): Promise<Invariance> {
  const company = Array.from({ length: Math.min(MOST_ROWS, runner.slots) }, (_, row) => {
    const length = row === 0 ? LENGTH : (COMPANY_LENGTHS[row % COMPANY_LENGTHS.length] ?? 2);
    return Array.from({ length }, (_, i) => 1 + ((row * 131 + i * 37) % Math.max(1, runner.vocabSize - 1)));
  });
  const [prompt = []] = company;
  const alone = [await prefill(runner, [prompt]), ...(await decode(runner, [prompt]))];
  const together = [await prefill(runner, company), ...(await decode(runner, company))];
  const again = [await prefill(runner, [prompt]), ...(await decode(runner, [prompt]))];
  await runner.prefill(0, [prompt.slice(0, FIRST_CHUNK)]);
  const chunked = firstRow(await runner.extend(0, FIRST_CHUNK, prompt.slice(FIRST_CHUNK)));
  for (let slot = 0; slot < company.length; slot++) runner.freeSlot(slot);
  return {
    padding: same(alone.slice(0, 1), together.slice(0, 1)),
    batch: same(alone.slice(1), together.slice(1)),
    chunk: same(alone.slice(0, 1), [chunked]),
    replay: same(alone, again),
  };
}

/** The logits of row 0 after each of a few steps. */
async function decode(runner: ModelRunner, prompts: readonly (readonly number[])[]): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (let step = 0; step < DECODE_STEPS; step++) {
    const tokens = prompts.map((_, row) => 1 + ((row * 17 + step * 29) % Math.max(1, runner.vocabSize - 1)));
    const pasts = prompts.map((prompt) => prompt.length + step);
    rows.push(firstRow(await runner.decode(tokens, pasts, 0)));
  }
  return rows;
}

async function prefill(runner: ModelRunner, prompts: readonly (readonly number[])[]): Promise<Float32Array> {
  return firstRow(await runner.prefill(0, prompts));
}

/** A copy: the output is valid only until the next run. */
function firstRow(output: StepOutput): Float32Array {
  return output.logits(0).slice();
}

function same(some: readonly Float32Array[], others: readonly Float32Array[]): boolean {
  return some.every((row, index) => {
    const other = others[index];
    return other !== undefined && row.every((value, id) => Object.is(value, other[id]));
  });
}
