import { loadOrt } from '@shoal/ort';
import type { SamplingParams } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import type { CandidateRequest } from '../model-runner/candidates.ts';
import { SamplingHead } from '../model-runner/sampling-head.ts';
import type { Sequence } from '../sequence.ts';
import { plainOutput } from '../testing/plain-candidates.ts';
import { TestRandom } from '../testing/random.ts';
import { testSequence } from '../testing/test-sequence.ts';
import { uniform } from './random.ts';
import { StepSampler } from './sampler.ts';

const TIMES = 5000;

/** Probabilities of ids 0 … n − 1 after temperature. */
function softmax(logits: Float32Array, temperature = 1): number[] {
  const weights = Array.from(logits, (logit) => Math.exp(logit / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** What sampling must follow: the definition, in full and in plain words. */
function narrowed(
  probabilities: readonly number[],
  { minP = 0, topK = 0, topP = 1 }: Partial<SamplingParams>,
): number[] {
  let kept = [...probabilities.entries()].sort(([a, p], [b, q]) => q - p || a - b);
  const highest = kept[0]?.[1] ?? 0;
  kept = kept.filter(([, p]) => p >= minP * highest);
  if (topK > 0) kept = kept.slice(0, topK);
  const mass = kept.reduce((sum, [, p]) => sum + p, 0);
  let reached = 0;
  kept = kept.filter(([, p]) => {
    const wanted = reached < topP * mass;
    reached += p;
    return wanted;
  });
  const total = kept.reduce((sum, [, p]) => sum + p, 0);
  const result = probabilities.map(() => 0);
  for (const [id, p] of kept) result[id] = p / total;
  return result;
}

/** Draws at consecutive positions; how often each id came, and how many rows had to be read in full. */
async function drawMany(logits: Float32Array, params: Partial<SamplingParams>, candidates: number) {
  const sequence = testSequence(params);
  const sampler = await StepSampler.prepare(plainOutput([logits], candidates), [sequence]);
  const counts = new Array<number>(logits.length).fill(0);
  for (let position = 0; position < TIMES; position++) {
    const { token } = sampler.choose(0, sequence);
    counts[token] = (counts[token] ?? 0) + 1;
    sequence.tokenIds.push(token);
  }
  return { counts, wholeRows: sampler.wholeRows };
}

/** The statistic, with rare ids put together so that each class is expected at least ten times; and its freedom. */
function chiSquare(counts: readonly number[], expected: readonly number[]): { statistic: number; freedom: number } {
  const classes: { seen: number; due: number }[] = [];
  let open = { seen: 0, due: 0 };
  for (const [id, share] of expected.entries()) {
    if (share === 0 && (counts[id] ?? 0) > 0) return { statistic: Number.POSITIVE_INFINITY, freedom: 1 };
    open = { seen: open.seen + (counts[id] ?? 0), due: open.due + share * TIMES };
    if (open.due < 10) continue;
    classes.push(open);
    open = { seen: 0, due: 0 };
  }
  const statistic = classes.reduce((sum, { seen, due }) => sum + (seen - due) ** 2 / due, 0);
  return { statistic, freedom: classes.length - 1 };
}

/** Above it is 1 in 10,000 (Wilson and Hilferty's approximation). The seed is fixed, so the tests never flicker. */
function limit(freedom: number): number {
  const k = Math.max(1, freedom);
  return k * (1 - 2 / (9 * k) + 3.719 * Math.sqrt(2 / (9 * k))) ** 3;
}

const random = new TestRandom(8);
/** 60 tokens of which the eight most likely have about half of the mass. */
const FLAT = Float32Array.from({ length: 60 }, () => 2.5 * random.next());

describe('sampling is exact', () => {
  it.each<[string, Partial<SamplingParams>, number, boolean]>([
    ['narrowed, all tokens listed', { topP: 0.6 }, 60, false],
    ['plain', {}, 8, false],
    ['at a high temperature', { temperature: 1.9 }, 8, false],
    ['at a low temperature', { temperature: 0.3 }, 8, false],
    ['topK within the candidates', { topK: 5 }, 8, false],
    ['topK beyond them', { topK: 20 }, 8, true],
    ['topK beyond the vocabulary', { topK: 1000 }, 8, true],
    ['topP within the candidates', { topP: 0.3 }, 8, false],
    ['topP beyond them', { topP: 0.6 }, 8, true],
    ['topP of most of the mass, without a list', { topP: 0.9 }, 0, false],
    ['the same, so that a few draws are rejected again and again', { topP: 0.7, temperature: 1.9 }, 0, true],
    ['minP within the candidates', { minP: 0.9 }, 8, false],
    ['minP beyond them', { minP: 0.3 }, 8, true],
    ['all three', { minP: 0.2, topK: 30, topP: 0.8, temperature: 1.3 }, 8, true],
  ])('%s', async (_, params, candidates, reads) => {
    const { counts, wholeRows } = await drawMany(FLAT, params, candidates);
    const expected = narrowed(softmax(FLAT, params.temperature), params);
    const { statistic, freedom } = chiSquare(counts, expected);
    expect(statistic).toBeLessThan(limit(freedom));
    expect(wholeRows > 0).toBe(reads);
  });

  it('with penalties and bias, which enter before anything is left out', async () => {
    const logits = Float32Array.of(3, 2.9, 1, 0, -1, 0.5, 0.4, 0.3, 0.2, 0.1);
    const params = { repetitionPenalty: 1.5, logitBias: { 9: 3, 1: -100 } };
    const { counts } = await drawMany(logits, params, 4);
    const adjusted = logits.slice();
    adjusted[9] = 3.1;
    adjusted[1] = -100;
    // The prompt is token 1; nothing was said yet when the step was made ready.
    const { statistic, freedom } = chiSquare(counts, softmax(adjusted));
    expect(statistic).toBeLessThan(limit(freedom));
  });
});

describe('choosing', () => {
  const decode = (tokenIds: number[]) => tokenIds.map((id) => `<${id}>`).join('');
  const choose = async (
    logits: number[],
    params: Partial<SamplingParams>,
    sequence: Sequence = testSequence(params, [1], 0, decode),
  ) => (await StepSampler.prepare(plainOutput([Float32Array.from(logits)], 8), [sequence])).choose(0, sequence);

  it('is greedy at temperature 0, with the lowest id among equals', async () => {
    expect(await choose([1, 5, 5], { temperature: 0 })).toEqual({ token: 1 });
  });

  it.each([1e-20, 1e-29, 1e-31, 1e-38, 1e-46, Number.MIN_VALUE])('is greedy at temperature %s', async (temperature) => {
    const ort = await loadOrt();
    const logits = ort.allocate('float32', [1, 1, 4]);
    logits.data.set([-30, 12, 30, 29.5]);
    const head = new SamplingHead({ ort, intraOpThreads: 1, logits, logitsType: 'float32' });
    const output = {
      rows: 1,
      logits: () => logits.data,
      candidates: (request: CandidateRequest) => head.run(1, request),
    };
    const sequence = testSequence({ temperature });
    expect((await StepSampler.prepare(output, [sequence])).choose(0, sequence).token).toBe(2);
    head.dispose();
    logits.dispose();
  });

  it('gives another token for another seed, choice or position, and the same one for the same', async () => {
    const { counts } = await drawMany(FLAT, { seed: 1 }, 8);
    expect((await drawMany(FLAT, { seed: 1 }, 8)).counts).toEqual(counts);
    expect((await drawMany(FLAT, { seed: 2 }, 8)).counts).not.toEqual(counts);
  });

  it('draws each token with the number at its seed, choice and position, so that any one can be replayed alone', async () => {
    const equal = new Array<number>(256).fill(0);
    for (const [seed, choice, position] of [
      [7, 0, 0],
      [7, 0, 1],
      [7, 2, 1],
      [2 ** 40, 1, 300],
    ] as const) {
      const sequence = testSequence({ seed }, [1, 2, 3], choice);
      sequence.tokenIds.push(...new Array<number>(position).fill(5));
      const { token } = await choose(equal, {}, sequence);
      expect(token).toBe(Math.floor(uniform(seed, choice, position) * 256));
    }
  });

  it('refuses logits that are no numbers', async () => {
    await expect(choose([Number.NaN, Number.NaN], {})).rejects.toThrow('no finite logit');
    await expect(choose([Number.NaN, Number.NaN], { temperature: 0 })).rejects.toThrow('no finite logit');
    await expect(choose([1, Number.NaN], {})).rejects.toThrow('no finite logit');
  });

  it('tells log probabilities of the model itself, whatever was added', async () => {
    const logits = [Math.log(0.5), Math.log(0.3), Math.log(0.2)];
    const choice = await choose(logits, { temperature: 0, logprobs: 2, logitBias: { 2: 100 } });
    expect(choice.token).toBe(2);
    expect(choice.logprob).toEqual({
      tokenId: 2,
      text: '<2>',
      logprob: expect.closeTo(Math.log(0.2), 5),
      top: [
        { tokenId: 0, text: '<0>', logprob: expect.closeTo(Math.log(0.5), 5) },
        { tokenId: 1, text: '<1>', logprob: expect.closeTo(Math.log(0.3), 5) },
      ],
    });
    expect((await choose(logits, { temperature: 0, logprobs: 0 })).logprob).toMatchObject({ tokenId: 0, top: [] });
  });

  it('reads tokens as the next ones of the answer, where that has a say', async () => {
    const params = { temperature: 0, logprobs: 2 };
    const spaced = (tokenIds: number[]) => decode(tokenIds).replaceAll('<', ' <').trimStart();
    const sequence = testSequence(params, [1], 0, spaced);
    expect((await choose([2, 1], params, sequence)).logprob).toMatchObject({ text: '<0>', top: [{}, { text: '<1>' }] });
    sequence.append(0, 0);
    expect((await choose([2, 1], params, sequence)).logprob).toMatchObject({
      text: ' <0>',
      top: [{}, { text: ' <1>' }],
    });
  });
});

describe('what a request adds to its logits', () => {
  const LOGITS = Float32Array.of(2, -2, 2, 2, 2);
  const additionsAfter = (params: Partial<SamplingParams>, said: number[], prompt: number[] = [0]) => {
    const sequence = testSequence(params, prompt);
    for (const token of said) sequence.append(token, 0);
    return Object.fromEntries(sequence.adjuster?.additions(LOGITS) ?? []);
  };

  it('is nothing when nothing is asked for', () => {
    expect(testSequence({ minTokens: 0, presencePenalty: 0 }).adjuster).toBeUndefined();
  });

  it('repetition penalty: over prompt and answer, by the sign of the logit', () => {
    expect(additionsAfter({ repetitionPenalty: 2 }, [1])).toEqual({ 0: -1, 1: -2 });
  });

  it('frequency penalty by count, presence penalty once, over the answer alone', () => {
    expect(additionsAfter({ frequencyPenalty: 0.5 }, [2, 2, 3])).toEqual({ 2: -1, 3: -0.5 });
    expect(additionsAfter({ presencePenalty: 0.5 }, [2, 2, 3])).toEqual({ 2: -0.5, 3: -0.5 });
  });

  it('bias on top of penalties', () => {
    expect(additionsAfter({ presencePenalty: 0.5, logitBias: { 2: 3, 4: -1 } }, [2])).toEqual({ 2: 2.5, 4: -1 });
  });

  it('the ban on ends before minTokens', () => {
    expect(additionsAfter({ minTokens: 2, stopTokenIds: [4] }, [2])).toEqual({ 4: Number.NEGATIVE_INFINITY });
    expect(additionsAfter({ minTokens: 2, stopTokenIds: [4] }, [2, 3])).toEqual({});
  });
});
