import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../ledger/entry.ts';
import { ClaimsWatch } from './claims-watch.ts';
import { OpenStreams, type OpenStreamsOptions } from './open-streams.ts';
import type { Arena } from './scenario.ts';
import { spread } from './statistics.ts';

export interface RoundOptions extends Partial<OpenStreamsOptions> {
  /** Pieces that every stream has been read before the strike, at least; 0: every request is accepted, and may wait. */
  pieces?: number;
  /** Milliseconds from then to the strike. */
  delayMs?: number;
  /** The harm; resolves when it is over. */
  strike: () => Promise<void>;
}

/** What one round showed. */
export interface RoundResult {
  /** Transcripts, and those that are the undisturbed answer. */
  transcripts: number;
  identical: number;
  /** Jobs that another worker claimed after the strike. */
  continued: number;
  /** From the strike to that claim, in milliseconds, of each. */
  detections: number[];
  /** From that claim to the first new token, divided by what as many steps as there were tokens take. */
  replays: number[];
  /** Longest time without a token around the strike, of each stream that paused for longer than a moment. */
  pauses: number[];
  entries: readonly Entry[];
}

const STREAMS = 16;
/** After fewer logged tokens the claim and the prefill weigh more than the replay. */
const ENOUGH_LOGGED = 60;
/** A stream that stood still for less was not hit. */
const MOMENT_MS = 300;

/**
 * Opens streams, waits until all of them are in the middle of their answers, strikes, and reads them to their ends.
 * Undefined when a stream had ended before the strike: such a round shows nothing. Where some may still wait, those that
 * have ended are left out instead.
 */
export async function playRound(arena: Arena, options: RoundOptions): Promise<RoundResult | undefined> {
  const { count = STREAMS, api, pieces = 5, delayMs = 0, strike } = options;
  const streams = new OpenStreams(arena, { count, ...(api === undefined ? {} : { api }) });
  if (pieces === 0) await streams.accepted();
  else if (!(await streams.flowing(pieces))) {
    await streams.done();
    return undefined;
  }
  if (delayMs > 0) await sleep(delayMs);
  const struck = streams.entries.filter(({ open }) => open);
  const watch = new ClaimsWatch(arena.cluster.probe, jobIdsOf(struck));
  const struckAt = Date.now();
  await strike();
  await streams.done();
  await watch.stop();
  return readRound(struck, watch.claimedAt, struckAt);
}

/** Whoever is accepted knows its job. */
function jobIdsOf(entries: readonly Entry[]): string[] {
  return entries.map(({ number, jobId }) => {
    if (jobId === undefined) throw new Error(`request ${number} was accepted without an id of its job`);
    return jobId;
  });
}

function readRound(entries: readonly Entry[], claimedAt: ReadonlyMap<string, number>, struckAt: number): RoundResult {
  const detections: number[] = [];
  const replays: number[] = [];
  for (const entry of entries) {
    const at = claimedAt.get(entry.jobId ?? '');
    if (at === undefined) continue;
    detections.push(at - struckAt);
    const ratio = replayRatio(entry, at);
    if (ratio !== undefined) replays.push(ratio);
  }
  return {
    transcripts: entries.length,
    identical: entries.filter(({ outcome, violations }) => outcome?.kind === 'completed' && violations.length === 0)
      .length,
    continued: claimedAt.size,
    detections,
    replays,
    pauses: entries.map((entry) => longestPause(entry, struckAt)).filter((pause) => pause > MOMENT_MS),
    entries,
  };
}

/** Only readers that are told positions know how many tokens were there before. */
function replayRatio({ reads }: Entry, claimedAt: number): number | undefined {
  const index = reads.findIndex(({ at }) => at > claimedAt);
  const [before, first, last] = [reads[index - 1], reads[index], reads.at(-1)];
  if (before === undefined || first === undefined || last === undefined || before.position < ENOUGH_LOGGED)
    return undefined;
  const steps = last.position - first.position;
  if (steps < 20) return undefined;
  const stepMs = (last.at - first.at) / steps;
  return (first.at - claimedAt) / (before.position * stepMs);
}

function longestPause({ reads }: Entry, struckAt: number): number {
  let longest = 0;
  for (const [index, { at }] of reads.entries()) {
    const before = reads[index - 1];
    if (before !== undefined && at >= struckAt) longest = Math.max(longest, at - before.at);
  }
  return longest;
}

/** Rounds summed up. */
export class Rounds {
  readonly results: RoundResult[] = [];

  /** Plays until so many rounds have shown something; gives up after twice as many. */
  static async play(
    arena: Arena,
    rounds: number,
    round: (index: number) => Promise<RoundResult | undefined>,
  ): Promise<Rounds> {
    const played = new Rounds();
    await played.#play(arena, rounds, round);
    return played;
  }

  async #play(arena: Arena, rounds: number, round: (index: number) => Promise<RoundResult | undefined>): Promise<void> {
    for (let attempt = 0; attempt < 2 * rounds + 2 && this.results.length < rounds; attempt++) {
      if (arena.signal.aborted) break;
      const result = await round(attempt);
      if (result === undefined) continue;
      this.results.push(result);
      arena.told(
        `round ${this.results.length}/${rounds}: ${result.identical}/${result.transcripts} identical, ` +
          `${result.continued} continued elsewhere${worst('after', result.detections)}${worst('longest pause', result.pauses)}`,
      );
      await arena.cluster.heal();
    }
    if (this.results.length < rounds && !arena.signal.aborted) {
      arena.ledger.find(`only ${this.results.length} of ${rounds} rounds struck in the middle of streams`);
    }
  }

  sum(of: 'transcripts' | 'identical' | 'continued'): number {
    return this.results.reduce((sum, result) => sum + result[of], 0);
  }

  all(of: 'detections' | 'replays' | 'pauses'): number[] {
    return this.results.flatMap((result) => result[of]);
  }

  get counts(): Record<string, number> {
    return {
      rounds: this.results.length,
      transcripts: this.sum('transcripts'),
      identical: this.sum('identical'),
      continued: this.sum('continued'),
    };
  }

  /** What most rounds come to: the counts, and how long their streams stood still. */
  get countsAndPauses(): Record<string, number> {
    return { ...this.counts, ...spread('pauseMs', this.all('pauses')) };
  }
}

function worst(what: string, values: readonly number[]): string {
  return values.length === 0 ? '' : `, ${what} ${(Math.max(...values) / 1000).toFixed(1)} s`;
}
