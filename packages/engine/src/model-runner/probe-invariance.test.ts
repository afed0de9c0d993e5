import { DECODER_TINY, decoder } from '@shoal/onnx-graph';
import { loadOrt } from '@shoal/ort';
import { describe, expect, it } from 'vitest';
import { ScriptedRunner } from '../testing/scripted-runner.ts';
import { readSignature } from './graph-signature.ts';
import { OrtRunner } from './ort-runner.ts';
import { probeInvariance } from './probe-invariance.ts';
import { settleInvariance } from './settle-invariance.ts';

async function tiny(
  dtype: 'fp32' | 'fp16' | 'q4' | 'int8',
  slots: number,
  accuracyLevel: 0 | 4 = 0,
): Promise<OrtRunner> {
  const ort = await loadOrt();
  // Wide enough for the kernels that real models meet.
  const graph = decoder({ ...DECODER_TINY, hidden: 128, intermediate: 256, dtype, accuracyLevel, maxLen: 64 });
  const session = await ort.createSession(graph, { intraOpThreads: 1 });
  const signature = readSignature(session.inputs, session.outputs);
  return new OrtRunner({ ort, session, signature, slots, maxLength: 64, intraOpThreads: 1 });
}

const ALL = { batch: true, padding: true, chunk: true, replay: true };

describe('probing invariance', () => {
  it('finds a float32 decoder invariant throughout', async () => {
    const runner = await tiny('fp32', 4);
    expect(await settleInvariance(runner)).toEqual(ALL);
    expect(runner.padsLoneRow).toBe(false);
    await runner.close();
  });

  it('gives a lone row of a 4-bit decoder company, so that it decodes as in a batch', async () => {
    const runner = await tiny('q4', 4);
    const bare = await probeInvariance(runner);
    const settled = await settleInvariance(runner);
    expect(settled.batch).toBe(true);
    expect(runner.padsLoneRow).toBe(!bare.batch);
    await runner.close();
  });

  it('finds half precision invariant too', async () => {
    const runner = await tiny('fp16', 4);
    expect(await settleInvariance(runner)).toEqual(ALL);
    await runner.close();
  });

  it('settles on kernels that quantise activations row by row as on those that do not', async () => {
    const runner = await tiny('q4', 4, 4);
    expect(await settleInvariance(runner)).toEqual(ALL);
    await runner.close();
  });

  it('finds dynamic int8 not invariant, company or not: its scales are those of the whole batch', async () => {
    const runner = await tiny('int8', 4);
    expect(await settleInvariance(runner)).toEqual({ batch: false, padding: false, chunk: false, replay: true });
    expect(runner.padsLoneRow).toBe(false);
    await runner.close();
  });

  it('leaves the row behind a lone one as it was', async () => {
    const runner = await tiny('q4', 4);
    runner.padsLoneRow = true;
    const behind = [9, 8, 7, 6, 5];
    const expected = [...(await runner.prefill(1, [behind])).logits(0)];
    await runner.prefill(0, [[1, 2, 3]]);
    await runner.prefill(1, [behind.slice(0, 3)]);
    await runner.decode([4], [3], 3);
    expect([...(await runner.extend(1, 3, behind.slice(3))).logits(0)]).toEqual(expected);
    await runner.close();
  });

  it('gives a prompt of one token company too', async () => {
    const runner = await tiny('q4', 4);
    const alone = [...(await runner.prefill(0, [[5]])).logits(0)];
    expect([...(await runner.prefill(0, [[5], [1, 2, 3]])).logits(0)]).toEqual(alone);
    await runner.close();
  });

  it('works with a single slot', async () => {
    const runner = await tiny('q4', 1);
    runner.padsLoneRow = true;
    expect(await probeInvariance(runner)).toEqual(ALL);
    await runner.close();
  });

  it('notices a row that depends on its company', async () => {
    const runner = new ScriptedRunner({ slots: 4, maxLength: 64, vocabSize: 50, next: () => 3 });
    runner.spoil = (_, logits) => {
      logits[0] = runner.runs.at(-1)?.rows ?? 0;
    };
    expect(await probeInvariance(runner)).toEqual({ batch: false, padding: false, chunk: true, replay: true });
  });
});
