import { type DecoderOptions, decoder } from '@shoal/onnx-graph';
import type { OrtBackend } from '@shoal/ort';
import { createRunner } from './create-runner.ts';
import { type ProviderRow, providerRow } from './execution-providers.ts';
import { readSignature } from './graph-signature.ts';
import type { ModelRunner, StepOutput } from './model-runner.ts';

/** Small, with the attention of real models; kernels for long prompts come into play from 32 positions on. */
const MODEL: DecoderOptions = {
  layers: 1,
  hidden: 64,
  heads: 2,
  kvHeads: 1,
  headDim: 64,
  intermediate: 64,
  vocab: 64,
  maxLen: 96,
};
const [LONG, SHORT] = [48, 5];
/** Of the largest logit: far more than providers round differently; a wrong kernel is off by the order of a logit. */
const TOLERANCE = { fp32: 0.01, fp16: 0.05 };

/**
 * Compares what a provider computes with what the CPU does: prompts long and short, alone and together, and decode
 * steps behind them. A kernel may be wrong on some adapter (ONNX Runtime 1.30's attention for WebGPU is on SwiftShader,
 * from 32 positions on), and a user should not be the one to find out.
 *
 * @returns what differs, in one line; undefined where all agrees
 * @throws OrtError where the provider cannot be used at all, or ShoalError because of one where its memory is full
 */
export async function differenceFromCpu(
  ort: OrtBackend,
  row: ProviderRow,
  deviceId: number,
): Promise<string | undefined> {
  const dtype = row.checkedIn;
  const got = await logitsOn(ort, row, deviceId, dtype);
  const wanted = await logitsOn(ort, providerRow('cpu'), 0, dtype);
  for (const [what, values] of wanted) {
    const largest = Math.max(...values.map(Math.abs));
    const worst = Math.max(...values.map((value, i) => Math.abs(value - (got.get(what)?.[i] ?? Number.NaN))));
    if (worst <= TOLERANCE[dtype] * largest) continue;
    return `it computes ${what} otherwise than the CPU (off by ${worst.toPrecision(2)} of ${largest.toPrecision(2)})`;
  }
  return undefined;
}

async function logitsOn(
  ort: OrtBackend,
  row: ProviderRow,
  deviceId: number,
  dtype: 'fp32' | 'fp16',
): Promise<Map<string, number[]>> {
  const executionProviders = row.chain(deviceId);
  const session = await ort.createSession(decoder({ ...MODEL, dtype }), { executionProviders, intraOpThreads: 1 });
  const size = { slots: 3, prefixSlots: 0, maxLength: MODEL.maxLen, contextLength: MODEL.maxLen };
  let runner: ModelRunner;
  try {
    const signature = readSignature(session.inputs, session.outputs);
    runner = await createRunner(
      { session, signature, cacheUpdate: 'in-place' },
      { ort, provider: row, deviceId, ...size, slidingWindow: false, intraOpThreads: 1 },
    );
  } catch (cause) {
    session.dispose();
    throw cause;
  }
  try {
    return await allLogits(runner);
  } finally {
    await runner.close();
  }
}

async function allLogits(runner: ModelRunner): Promise<Map<string, number[]>> {
  const tokens = (length: number): number[] => Array.from({ length }, (_, i) => (7 + 13 * i) % MODEL.vocab);
  const seen = new Map<string, number[]>();
  const see = (what: string, output: StepOutput): void => {
    for (let row = 0; row < output.rows; row++) seen.set(`${what}, row ${row}`, [...output.logits(row)]);
  };
  see(`a prompt of ${LONG} tokens`, await runner.prefill(0, [tokens(LONG)]));
  see(`prompts of ${SHORT} and ${LONG} tokens`, await runner.prefill(1, [tokens(SHORT), tokens(LONG)]));
  see(`a decode step behind ${LONG}, ${SHORT} and ${LONG}`, await runner.decode([1, 2, 3], [LONG, SHORT, LONG], 0));
  see(`a decode step behind ${LONG + 1}`, await runner.decode([4], [LONG + 1], SHORT + 1));
  return seen;
}
