import { describe, firstDifference, type Outcome, statusOf, type Terms } from './outcome.ts';
import type { Moment, Timeline } from './timeline.ts';

/** A refusal explains for this long why a client is not served: one silence of a connection. */
const RECENT_MS = 30_000;

/** What all entries of a ledger have in common. */
export interface Circumstances {
  readonly timeline: Timeline;
  /** Milliseconds for which Shoal keeps a result (RESULT_TTL_S). */
  readonly keptMs: number;
  readonly onViolation: (what: string) => void;
}

/** A job as a replica shows it. */
interface Look {
  status: 'queued' | 'running' | 'completed' | 'failed' | 'cancelled' | 'expired';
  attempts: number;
  finished_at?: number | undefined;
}

/** What the answer to a DELETE said. */
export interface Deletion {
  /** 200: it has ended; 202: its worker is to stop. */
  httpStatus: number;
  /** When the answer was there. */
  at: number;
  claims: number;
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
  /** It is submitted as a job: if it is accepted, `/v1/jobs` lists it. */
  submitted = false;
  /** When Shoal said, by a 2xx or by the first byte of a stream, that it has the request. */
  acceptedAt: number | undefined;
  endedAt: number | undefined;
  outcome: Outcome | undefined;
  deletion: Deletion | undefined;
  /** When its client closed the connection for good. */
  leftAt: number | undefined;
  /** When Redis wrote its end, by the clock of this machine, and how often it had been claimed by then. */
  finish: { at: number; claims: number } | undefined;
  /** What its client is still to be told after the end. */
  awaiting: string | undefined;
  readonly #circumstances: Circumstances;
  /** When the request that was acknowledged was sent: its write came between that and the acknowledgement. */
  #sentAt = 0;
  /** When it was last certain to have no end yet. */
  #unfinishedAt: number = this.openedAt;
  /** Ends that replicas have shown. */
  readonly #ends: { status: Look['status']; at: number }[] = [];
  /** When it was last refused, by HTTP status. */
  readonly #refusedAt = new Map<number, number>();
  #resigned = false;
  #closed = false;

  constructor(number: number, about: string, terms: Terms, circumstances: Circumstances) {
    this.number = number;
    this.about = about;
    this.terms = terms;
    this.#circumstances = circumstances;
  }

  get open(): boolean {
    return this.outcome === undefined && !this.#closed;
  }

  /** Nobody waits for it any more. */
  get closed(): boolean {
    return this.#closed;
  }

  get timeline(): Timeline {
    return this.#circumstances.timeline;
  }

  note(what: string): void {
    this.notes.push({ at: Date.now(), what });
  }

  /** @param sentAt when the request that is answered by this was sent */
  accepted(how: string, jobId: string | undefined, sentAt: number): void {
    if (jobId !== undefined) {
      if (this.jobId !== undefined && this.jobId !== jobId) {
        this.violate(`one submission became two jobs: ${this.jobId} and ${jobId}`);
      }
      this.jobId = jobId;
    }
    if (this.acceptedAt !== undefined) return;
    this.acceptedAt = Date.now();
    this.#sentAt = sentAt;
    this.note(`accepted (${how})${jobId === undefined ? '' : ` as job ${jobId}`}`);
  }

  refused(httpStatus: number): void {
    this.#refusedAt.set(httpStatus, Date.now());
  }

  /** Its client does not try any longer. Whoever is turned away must be told why. */
  resign(): void {
    this.note('gave up');
    if (this.acceptedAt !== undefined) return;
    this.#resigned = true;
    if (!this.#refusedLately(429) && !this.#refusedLately(503)) this.violate('gave up, and nobody had said why');
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

  /** A replica shows it, asked at `sentAt`. */
  shown({ status, attempts, finished_at }: Look, sentAt: number): void {
    if (status === 'queued' || status === 'running') {
      this.#unfinishedAt = Math.max(this.#unfinishedAt, sentAt);
      return;
    }
    this.#ends.push({ status, at: Date.now() });
    if (finished_at !== undefined) this.finish = { at: finished_at, claims: attempts };
  }

  /** No replica knows it any more, which is right when its result was kept for its time, or a crash has taken it. */
  vanished(): void {
    if (this.acceptanceMayBeLost) this.note('is not known any more: Redis was killed when it was accepted');
    else if (this.mayHaveExpired) this.note('is not known any more: its result may have been kept for long enough');
    else this.violate(`is not known any more, within the ${this.#circumstances.keptMs / 1000} s that results are kept`);
  }

  /** Its end may be so long ago that nothing is kept of it. */
  get mayHaveExpired(): boolean {
    return this.terms.shared === true || Date.now() - this.#unfinishedAt >= this.#circumstances.keptMs;
  }

  get acceptanceMayBeLost(): boolean {
    return this.acceptedAt !== undefined && this.timeline.mayHaveLost(this.#sentAt, this.acceptedAt);
  }

  /** A crash may have taken an end that was told until `at`: then the request goes on, and gets another. */
  endMayBeLost(at: number): boolean {
    return this.timeline.mayHaveLost(this.openedAt, at);
  }

  end(outcome: Outcome): void {
    if (this.#closed) return;
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
    if (this.#closed) return;
    this.violations.push(what);
    this.#circumstances.onViolation(`request ${this.number}: ${what}`);
    this.note(`VIOLATION: ${what}`);
  }

  /** Nothing more is waited for: what is missing now is missing for good. Idempotent. */
  close(): void {
    if (this.#closed) return;
    if (this.outcome !== undefined) {
      if (this.awaiting !== undefined) this.violate(`ended, and nobody could be asked ${this.awaiting}`);
    } else if (this.acceptedAt !== undefined) {
      if (this.acceptanceMayBeLost && this.#refusedLately(404)) this.vanished();
      else this.violate('accepted and never answered');
    } else if (!this.#resigned && !this.#refusedLately(429)) {
      this.violate('neither accepted nor refused');
    }
    this.#closed = true;
  }

  /** Whether such an end, told of this request, would be right. */
  allows(outcome: Outcome): boolean {
    const { expected, allowed } = this.terms;
    if (outcome.kind === 'failed') return allowed.includes(outcome.code);
    return expected !== undefined && expected.texts.join('\0') === outcome.texts.join('\0');
  }

  #judge(outcome: Outcome): void {
    for (const { status, at } of this.#ends) {
      if (status !== statusOf(outcome) && !this.endMayBeLost(at)) this.violate(`was shown as ${status} before`);
    }
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

  #refusedLately(httpStatus: number): boolean {
    return Date.now() - (this.#refusedAt.get(httpStatus) ?? Number.NEGATIVE_INFINITY) <= RECENT_MS;
  }
}
