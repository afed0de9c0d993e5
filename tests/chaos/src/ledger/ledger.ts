import { type Circumstances, Entry } from './entry.ts';
import type { Terms } from './outcome.ts';
import type { Timeline } from './timeline.ts';

/** RESULT_TTL_S, where a cluster is not told otherwise. */
const USUALLY_KEPT_MS = 3_600_000;

/** A broken promise that no single request shows: a bound, a leak. */
export interface Finding {
  readonly what: string;
}

export interface LedgerOptions {
  /** Called once for each broken promise, when it shows. */
  onViolation?: ((what: string) => void) | undefined;
  /** Milliseconds for which the cluster keeps results. */
  keptMs?: number;
}

/** Everything that the clients know. What is checked is checked against this. */
export class Ledger {
  readonly timeline: Timeline;
  readonly entries: Entry[] = [];
  readonly findings: Finding[] = [];
  readonly #circumstances: Circumstances;

  constructor(timeline: Timeline, { onViolation = () => {}, keptMs = USUALLY_KEPT_MS }: LedgerOptions = {}) {
    this.timeline = timeline;
    this.#circumstances = { timeline, onViolation, keptMs };
  }

  open(about: string, terms: Terms): Entry {
    const entry = new Entry(this.entries.length + 1, about, terms, this.#circumstances);
    this.entries.push(entry);
    return entry;
  }

  find(what: string): void {
    this.findings.push({ what });
    this.timeline.add(`VIOLATION: ${what}`);
    this.#circumstances.onViolation(what);
  }

  get offending(): Entry[] {
    return this.entries.filter(({ violations }) => violations.length > 0);
  }

  get violations(): number {
    return this.findings.length + this.entries.reduce((sum, { violations }) => sum + violations.length, 0);
  }

  /** Streams that were being read at this moment: begun and not ended. */
  get streaming(): number {
    return this.entries.filter((entry) => entry.open && entry.reads.length > 0).length;
  }

  /** Whoever was accepted and has no end by now is lost; whoever was neither accepted nor refused was not served. */
  closeBooks(): void {
    for (const entry of this.entries) entry.close();
  }

  /** Requests by kind and by how they ended. */
  tally(): Map<string, Map<string, number>> {
    const kinds = new Map<string, Map<string, number>>();
    for (const { terms, outcome, acceptedAt } of this.entries) {
      const end =
        outcome === undefined
          ? acceptedAt === undefined
            ? 'refused'
            : 'lost'
          : outcome.kind === 'failed'
            ? outcome.code
            : 'completed';
      const ends = kinds.get(terms.kind) ?? new Map<string, number>();
      kinds.set(terms.kind, ends.set(end, (ends.get(end) ?? 0) + 1));
    }
    return kinds;
  }
}
