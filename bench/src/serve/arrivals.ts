import type { Work } from '../contestants/engine-load.ts';
import { logNormal, random } from '../random.ts';

/** How requests come: each for itself, or several at one moment. */
export type ArrivalPattern = 'poisson' | 'bursty';

/** A request, and when it comes. */
export interface Arrival extends Work {
  /** Milliseconds from the start of the window. */
  readonly atMs: number;
}

/** Log-normal lengths in tokens: the median, the deviation of the logarithm, and the bounds. */
export interface LengthLaw {
  readonly median: number;
  readonly deviation: number;
  readonly least: number;
  readonly most: number;
}

/**
 * Chat in small: prompts of 10 and answers of 21 tokens in the mean, a sixteenth of the lengths that vLLM's authors give
 * for ShareGPT (161 and 338, arXiv 2309.06180), so that two cores that compute 50 tokens a second see dozens of requests
 * in a window.
 */
export const PROMPT_LENGTHS: LengthLaw = { median: 8, deviation: 0.6, least: 2, most: 64 };
export const ANSWER_LENGTHS: LengthLaw = { median: 15, deviation: 0.8, least: 2, most: 96 };

const LENGTHS_DRAWN = 100_000;
/** Tokens of an answer in the mean, by the law above. */
export const MEAN_ANSWER_TOKENS: number = meanLength(ANSWER_LENGTHS);

/** Requests of a burst in the mean; sizes are geometric. */
const BURST = 4;

export interface ArrivalOptions {
  readonly pattern: ArrivalPattern;
  /** Requests, not bursts. */
  readonly perSecond: number;
  readonly durationMs: number;
  readonly seed: number;
  readonly vocab: number;
}

/**
 * The requests of one window: the same list for the same seed, whoever answers them. What they ask for, all together, is
 * what the rate says, within one burst: of a few hundred requests with lengths as uneven as these the work is 10 % off by
 * chance, and by that much another load than its name says. A Poisson process of which the number of its arrivals is
 * known has them at places drawn evenly, which the sums of one more gap than there are arrivals give.
 */
export function arrivals({ pattern, perSecond, durationMs, seed, vocab }: ArrivalOptions): Arrival[] {
  const next = random(seed);
  const group = pattern === 'bursty' ? BURST : 1;
  const wantedTokens = (perSecond * durationMs * MEAN_ANSWER_TOKENS) / 1000;
  const list: Arrival[] = [];
  let tokens = 0;
  let at = exponential(next);
  while (tokens < wantedTokens) {
    const size = group === 1 ? 1 : geometric(next, group);
    for (let i = 0; i < size; i++) {
      const asked = work(next, vocab);
      tokens += asked.maxTokens;
      list.push({ atMs: at, ...asked });
    }
    at += exponential(next);
  }
  return list.map((arrival) => ({ ...arrival, atMs: (arrival.atMs * durationMs) / at }));
}

/** So many requests at one moment. */
export function burst(count: number, seed: number, vocab: number): Arrival[] {
  const next = random(seed);
  return Array.from({ length: count }, () => ({ atMs: 0, ...work(next, vocab) }));
}

function work(next: () => number, vocab: number): Work {
  const prompt = Array.from({ length: length(next, PROMPT_LENGTHS) }, () => wordId(next, vocab));
  return { prompt, maxTokens: length(next, ANSWER_LENGTHS) };
}

/** Ids of whole words, clear of the special tokens and bytes that vocabularies begin with; of letters in a small one. */
function wordId(next: () => number, vocab: number): number {
  const [first, beyond] = vocab > 320 ? [300, vocab] : [97, 123];
  return first + Math.floor(next() * (beyond - first));
}

function length(next: () => number, { median, deviation, least, most }: LengthLaw): number {
  return Math.min(most, Math.max(least, Math.round(logNormal(next, median, deviation))));
}

/** Drawn, because rounding and bounds have no formula. */
function meanLength(law: LengthLaw): number {
  const next = random(1);
  let sum = 0;
  for (let i = 0; i < LENGTHS_DRAWN; i++) sum += length(next, law);
  return sum / LENGTHS_DRAWN;
}

/** Of mean 1. */
function exponential(next: () => number): number {
  return -Math.log(1 - next());
}

/** 1, 2, 3 … with the given mean. */
function geometric(next: () => number, mean: number): number {
  return 1 + Math.floor(Math.log(1 - next()) / Math.log(1 - 1 / mean));
}
