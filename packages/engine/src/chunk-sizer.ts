import { PassCost } from './pass-cost.ts';

/**
 * Decode steps that somebody else's prefill may last: in a pass of its own, behind which the next decode step comes, or
 * in a decode step that carries the chunk. Either way the next token is expected within four steps, and some time is left
 * for passes that take longer than expected, as decode steps behind a chunk do.
 */
const APART_STEPS = 2.6;
const RIDING_STEPS = 3.1;
/** … or this long, which nobody notices: small models would otherwise prefill a handful of tokens at a time. */
const STALL_MS = 10;
const SMALLEST = 16;
/** Until a prefill and a decode step were measured. */
const UNKNOWN = 128;
/** Weight of the newest decode step. */
const NEWEST = 0.2;
/** Of a decode step's time, what it adds to a pass that carries it. What is wrong with that counts as tokens' cost. */
const DECODE_SHARE = 0.5;

/** How many prompt tokens a pass may compute while others decode, learnt from how long passes take. */
export class ChunkSizer {
  #most: number;
  #decodeMs: number | undefined;
  readonly #apart = new PassCost();
  readonly #riding = new PassCost();

  /** @param most tokens in a pass at most, whatever was measured */
  constructor(most: number) {
    this.#most = most;
  }

  /** Tokens of a pass of their own, behind `past` positions of the same prompt. */
  apart(past: number): number {
    if (this.#decodeMs === undefined || !this.#apart.known) return Math.min(UNKNOWN, this.#most);
    return this.#bounded(this.#apart.tokensWithin(Math.max(STALL_MS, APART_STEPS * this.#decodeMs), past));
  }

  /** Tokens that a decode step carries. */
  riding(past: number): number {
    const cost = this.#riding.known ? this.#riding : this.#apart;
    if (this.#decodeMs === undefined || !cost.known) return Math.min(UNKNOWN, this.#most);
    const budgetMs = Math.max(STALL_MS, RIDING_STEPS * this.#decodeMs) - DECODE_SHARE * this.#decodeMs;
    return this.#bounded(cost.tokensWithin(budgetMs, past));
  }

  /** From now on, tokens in a pass at most. */
  bound(most: number): void {
    this.#most = most;
  }

  decoded(durationMs: number): void {
    const before = this.#decodeMs;
    this.#decodeMs = before === undefined ? durationMs : before + NEWEST * (durationMs - before);
  }

  /** @param tokens padding included; `past` positions stand before them */
  prefilled(tokens: number, past: number, durationMs: number): void {
    // A short pass is dominated by what every pass costs, and says little about a long one.
    if (tokens >= SMALLEST) this.#apart.learn(tokens, past, durationMs);
  }

  /** A decode step carried a chunk. */
  rode(tokens: number, past: number, durationMs: number): void {
    const chunkMs = durationMs - DECODE_SHARE * (this.#decodeMs ?? 0);
    if (tokens >= SMALLEST && chunkMs > 0) this.#riding.learn(tokens, past, chunkMs);
  }

  #bounded(tokens: number): number {
    return Math.min(this.#most, Math.max(SMALLEST, Math.floor(tokens)));
  }
}
