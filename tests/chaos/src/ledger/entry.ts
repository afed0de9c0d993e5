import type { Moment } from './timeline.ts';

/** How a request ended, as its client was told. */
export type Outcome =
  | { kind: 'completed'; texts: string[]; finishReasons: string[] }
  | { kind: 'failed'; code: string; message?: string };

/** Which ends a client may be told, besides the right answer. */
export interface Terms {
  /** What kind of request it is, for tables. */
  kind: string;
  /** The undisturbed answer: texts and finish reasons, one per choice. Undefined for a request that cannot have one. */
  expected: { texts: string[]; finishReasons: string[] } | undefined;
  /** Error codes that are right answers too. */
  allowed: readonly string[];
}

/** Everything that one client knows of one request: what it sent, what was acknowledged, what it read, when. */
export class Entry {
  readonly number: number;
  readonly about: string;
  readonly terms: Terms;
  readonly openedAt: number = Date.now();
  readonly notes: Moment[] = [];
  readonly violations: string[] = [];
  /** Text read so far, by choice. */
  readonly texts: string[] = [];
  /** Times at which tokens were read, with the position behind them where the client is told positions. */
  readonly reads: { at: number; position: number }[] = [];
  jobId: string | undefined;
  /** When Shoal said, by a 2xx or by the first byte of a stream, that it has the request. */
  acceptedAt: number | undefined;
  endedAt: number | undefined;
  outcome: Outcome | undefined;

  readonly #onViolation: (what: string) => void;

  constructor(number: number, about: string, terms: Terms, onViolation: (what: string) => void) {
    this.number = number;
    this.about = about;
    this.terms = terms;
    this.#onViolation = onViolation;
  }

  get open(): boolean {
    return this.outcome === undefined;
  }

  note(what: string): void {
    this.notes.push({ at: Date.now(), what });
  }

  accepted(how: string, jobId: string | undefined): void {
    if (jobId !== undefined) {
      if (this.jobId !== undefined && this.jobId !== jobId) {
        this.violate(`one submission became two jobs: ${this.jobId} and ${jobId}`);
      }
      this.jobId = jobId;
    }
    if (this.acceptedAt !== undefined) return;
    this.acceptedAt = Date.now();
    this.note(`accepted (${how})${jobId === undefined ? '' : ` as job ${jobId}`}`);
  }

  read(choice: number, text: string, position: number = 0): void {
    const at = Date.now();
    this.texts[choice] = (this.texts[choice] ?? '') + text;
    this.reads.push({ at, position });
    const expected = this.terms.expected?.texts[choice];
    const so = this.texts[choice];
    if (expected !== undefined && !expected.startsWith(so) && this.violations.length === 0) {
      this.violate(`choice ${choice} is no prefix of the undisturbed answer: ${firstDifference(expected, so)}`);
    }
  }

  /** The reader begins again from the first byte. */
  restart(): void {
    this.texts.length = 0;
  }

  end(outcome: Outcome): void {
    if (this.outcome !== undefined) {
      this.violate(`ended twice: ${describe(this.outcome)}, then ${describe(outcome)}`);
      return;
    }
    this.outcome = outcome;
    this.endedAt = Date.now();
    this.note(`ended: ${describe(outcome)}`);
    this.#judge(outcome);
  }

  violate(what: string): void {
    this.violations.push(what);
    this.#onViolation(`request ${this.number}: ${what}`);
    this.note(`VIOLATION: ${what}`);
  }

  #judge(outcome: Outcome): void {
    const { expected, allowed } = this.terms;
    if (outcome.kind === 'failed') {
      if (!allowed.includes(outcome.code)) this.violate(`failed with ${outcome.code}`);
      return;
    }
    if (expected === undefined) {
      this.violate('was answered, and could not have been');
      return;
    }
    for (const [choice, text] of expected.texts.entries()) {
      const got = outcome.texts[choice] ?? '';
      if (got !== text) this.violate(`choice ${choice} differs: ${firstDifference(text, got)}`);
      const read = this.texts[choice];
      // Where the answer was streamed, the pieces together are the answer.
      if (this.reads.length > 0 && read !== got) {
        this.violate(`choice ${choice} as read differs from its result: ${firstDifference(got, read ?? '')}`);
      }
    }
    if (expected.finishReasons.join() !== outcome.finishReasons.join()) {
      this.violate(`finish reasons ${outcome.finishReasons.join()} instead of ${expected.finishReasons.join()}`);
    }
  }
}

function describe(outcome: Outcome): string {
  if (outcome.kind === 'failed')
    return `failed with ${outcome.code}${outcome.message === undefined ? '' : ` (${outcome.message})`}`;
  return `completed, ${outcome.texts.map((text) => text.length).join('+')} characters`;
}

function firstDifference(expected: string, got: string): string {
  let at = 0;
  while (at < expected.length && expected[at] === got[at]) at += 1;
  const part = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 10), at + 10));
  return `at character ${at} of ${expected.length} (got ${got.length}): expected ${part(expected)}, got ${part(got)}`;
}
