import { extendTokens, ownTokens, type TokensEvent } from '@shoal/protocol';

/** What names a claim: the job and the lock token under which this worker holds it. */
export interface Claim {
  readonly id: string;
  readonly token: string;
  /** The submitter as a reader, or '' when nobody waits. */
  readonly replyTo: string;
  /** Nobody reads its tokens as they come, as far as was known when it was claimed. Default false. */
  readonly quiet?: boolean;
}

/** One entry of the token log, made of consecutive events. */
export interface Chunk {
  readonly position: number;
  readonly end: number;
  readonly events: readonly TokensEvent[];
}

/**
 * What one job has still to write. Events are merged until they are first sent; a chunk then keeps its borders, so that
 * what is resent is recognised. Everything is kept for the length of the claim (at most the request's own tokens), so
 * that a log that lost its tail can be written again.
 */
export class Outbox {
  readonly claim: Claim;
  readonly #base: number;
  #chunks: Chunk[] = [];
  #next = 0;
  #acknowledged: number;
  #open: TokensEvent[] = [];
  /** Somebody reads its tokens as they come. */
  #heard: boolean;

  /** `base` is the length of the log when the claim began. */
  constructor(claim: Claim, base: number) {
    this.claim = claim;
    this.#base = base;
    this.#acknowledged = base;
    this.#heard = claim.quiet !== true;
  }

  /** True while its tokens may wait: the first of them are on their way, and nobody reads them as they come. */
  get mayRest(): boolean {
    return !this.#heard && !this.untold;
  }

  /** Somebody has joined who reads its tokens as they come. */
  hear(): void {
    this.#heard = true;
  }

  /** An event without tokens has no place in the log and is left out. */
  append(event: TokensEvent): void {
    if (event.tokenIds.length > 0) this.#open.push(event);
  }

  /** Chunks that are not on their way yet, at most `limit`; they are from now on. */
  take(limit: number): Chunk[] {
    const first = this.#open[0];
    if (first !== undefined) {
      this.#chunks.push(chunkOf(first, this.#open));
      this.#open = [];
    }
    const taken = this.#chunks.slice(this.#next, this.#next + limit);
    this.#next += taken.length;
    return taken;
  }

  /** True while something has not been sent. */
  get waiting(): boolean {
    return this.#open.length > 0 || this.#next < this.#chunks.length;
  }

  /** True until the first tokens of the claim are on their way. */
  get untold(): boolean {
    return this.#next === 0;
  }

  /** Length that the log must have before the job may end. */
  get length(): number {
    return this.#open.at(-1) === undefined ? (this.#chunks.at(-1)?.end ?? this.#base) : endOf(this.#open);
  }

  /**
   * Redis says how long the log is. Shorter than what was sent (it lost its tail, or something overtook): the rest is
   * sent again. Inside a chunk (another claim of this job wrote with other borders): the chunk is cut there.
   * Returns false when that cannot be: one event straddles the log's end, or the log has lost what was in it before this
   * claim began.
   */
  acknowledge(chunk: Chunk, length: number): boolean {
    if (length >= chunk.end) {
      this.#acknowledged = Math.max(this.#acknowledged, chunk.end);
      return true;
    }
    if (length > chunk.position && !this.#cut(chunk, length)) return false;
    return this.resendFrom(length);
  }

  /** The outcome of what is on its way is unknown: send again what was not acknowledged. */
  rewind(): void {
    this.resendFrom(this.#acknowledged);
  }

  /** False when that is before what this claim can write. */
  resendFrom(position: number): boolean {
    if (position < this.#base) return false;
    this.#acknowledged = Math.min(this.#acknowledged, position);
    const from = this.#chunks.findIndex((chunk) => chunk.end > position);
    if (from !== -1) this.#next = Math.min(this.#next, from);
    return true;
  }

  #cut(chunk: Chunk, length: number): boolean {
    const rest = chunk.events.filter((event) => event.position >= length);
    const first = rest[0];
    if (first === undefined || first.position !== length) return false;
    this.#chunks = this.#chunks.map((each) => (each === chunk ? chunkOf(first, rest) : each));
    return true;
  }
}

/** The log entry of a chunk: its event, or an array of them where several choices take turns. */
export function chunkEntry(chunk: Chunk): string {
  const merged: TokensEvent[] = [];
  for (const event of chunk.events) {
    const last = merged.at(-1);
    if (last === undefined || !belongTogether(last, event)) {
      merged.push(ownTokens(event));
      continue;
    }
    extendTokens(last, event);
  }
  return JSON.stringify(merged.length === 1 ? merged[0] : merged);
}

function belongTogether(a: TokensEvent, b: TokensEvent): boolean {
  return (
    b.run === undefined &&
    (a.choice ?? 0) === (b.choice ?? 0) &&
    (a.logprobs === undefined) === (b.logprobs === undefined)
  );
}

function chunkOf(first: TokensEvent, events: readonly TokensEvent[]): Chunk {
  return { position: first.position, end: endOf(events), events };
}

function endOf(events: readonly TokensEvent[]): number {
  const last = events.at(-1);
  return last === undefined ? 0 : last.position + last.tokenIds.length;
}
