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

/** The requests of one window: the same list for the same seed, whoever answers them. */
export function arrivals({ pattern, perSecond, durationMs, seed, vocab }: ArrivalOptions): Arrival[] {
  const next = random(seed);
  const group = pattern === 'bursty' ? BURST : 1;
  const meanGapMs = (1000 * group) / perSecond;
  const list: Arrival[] = [];
  for (let atMs = exponential(next, meanGapMs); atMs < durationMs; atMs += exponential(next, meanGapMs)) {
    const size = group === 1 ? 1 : geometric(next, group);
    for (let i = 0; i < size; i++) list.push({ atMs, ...work(next, vocab) });
  }
  return list;
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

function exponential(next: () => number, mean: number): number {
  return -mean * Math.log(1 - next());
}

/** 1, 2, 3 … with the given mean. */
function geometric(next: () => number, mean: number): number {
  return 1 + Math.floor(Math.log(1 - next()) / Math.log(1 - 1 / mean));
}
