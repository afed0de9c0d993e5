import { Entry, type Terms } from './entry.ts';
import type { Timeline } from './timeline.ts';

/** A broken promise that no single request shows: a bound, a leak. */
export interface Finding {
  readonly what: string;
}

/** Everything that the clients know. What is checked is checked against this. */
export class Ledger {
  readonly timeline: Timeline;
  readonly entries: Entry[] = [];
  readonly findings: Finding[] = [];
  readonly #onViolation: (what: string) => void;

  constructor(timeline: Timeline, onViolation: (what: string) => void = () => {}) {
    this.timeline = timeline;
    this.#onViolation = onViolation;
  }

  open(about: string, terms: Terms): Entry {
    const entry = new Entry(this.entries.length + 1, about, terms, this.#onViolation);
    this.entries.push(entry);
    return entry;
  }

  find(what: string): void {
    this.findings.push({ what });
    this.timeline.add(`VIOLATION: ${what}`);
    this.#onViolation(what);
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

  get inFlight(): number {
    return this.entries.filter(({ open }) => open).length;
  }

  /** Whoever was accepted and has no end by now is lost. */
  closeBooks(): void {
    for (const entry of this.entries) {
      if (entry.open && entry.acceptedAt !== undefined) entry.violate('accepted and never answered');
    }
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
