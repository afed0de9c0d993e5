import {
  type ErrorBody,
  type ErrorCode,
  type GenerateRequest,
  type GenerateResult,
  ShoalError,
  type TokensEvent,
} from '@shoal/protocol';
import type { ClaimedJob, LoggedTokens } from './consumer.ts';
import type { Outbox } from './outbox.ts';
import type { End, EndOutcome } from './step-codec.ts';
import type { StepWriter } from './step-writer.ts';

/** Timers cannot run longer than this; a later deadline is looked at again then. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface HeldJobOptions {
  outbox: Outbox;
  writer: StepWriter;
  request: GenerateRequest;
  priority: number;
  queuedAt: number;
  /** Unix time in milliseconds of the claim, by the clock that deadlines are measured by. */
  now: number;
  logged: LoggedTokens;
  traceContext: string | undefined;
  /** Called once, when the job is no longer held; with the error of one that failed. */
  onEnd(outcome: 'completed' | 'failed' | 'handed-back' | 'lost', code: ErrorCode | undefined): void;
}

/** {@link ClaimedJob} over a {@link StepWriter}, whoever claimed it. */
export class HeldJob implements ClaimedJob {
  readonly id: string;
  readonly request: GenerateRequest;
  readonly priority: number;
  readonly queuedAt: number;
  readonly logged: LoggedTokens;
  readonly traceContext: string | undefined;
  readonly claimedAt: number = Date.now();
  readonly #options: HeldJobOptions;
  #controller: AbortController | undefined;
  #abortedBy: Error | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #ended: Promise<void> | undefined;
  #tellEnded: () => void = () => {};
  #over = false;

  constructor(options: HeldJobOptions) {
    this.id = options.outbox.claim.id;
    this.request = options.request;
    this.priority = options.priority;
    this.queuedAt = options.queuedAt;
    this.logged = options.logged;
    this.traceContext = options.traceContext;
    this.#options = options;
    const { deadline } = options.request;
    if (deadline !== undefined) this.#watchDeadline(performance.now() + deadline - options.now);
  }

  /** Made when it is asked for: most of the cost of holding a job would be this. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortedBy !== undefined) this.#controller.abort(this.#abortedBy);
    }
    return this.#controller.signal;
  }

  get token(): string {
    return this.#options.outbox.claim.token;
  }

  append(event: TokensEvent): void {
    if (this.#over || this.#ended !== undefined) return;
    this.#options.outbox.append(event);
    this.#options.writer.touch(this.#options.outbox);
  }

  async complete(result: GenerateResult): Promise<void> {
    const reason = this.#abortedBy;
    // What was stopped for a reason ends with that reason, whatever the engine had by then.
    if (result.finishReason === 'abort' && reason instanceof ShoalError) return await this.fail(reason.toBody());
    await this.#end('completed', { kind: 'completed', value: JSON.stringify(result) });
  }

  async fail(error: ErrorBody): Promise<void> {
    const reason = this.#abortedBy;
    const body = reason instanceof ShoalError ? reason.toBody() : error;
    await this.#end('failed', { kind: 'failed', value: JSON.stringify(body) }, body.code);
  }

  async handBack(): Promise<void> {
    await this.#end('handed-back', { kind: 'handed-back' });
  }

  /** Asks the handler to stop; it then ends the job with this reason. */
  abort(reason: ShoalError): void {
    if (!this.#over && this.#ended === undefined) this.#abort(reason);
  }

  /** The job is no longer this worker's: nothing more is written for it. */
  lose(): void {
    this.#options.writer.drop(this.#options.outbox);
    this.#finish('lost');
  }

  /** The first end counts; whoever tries another waits for it. */
  #end(outcome: 'completed' | 'failed' | 'handed-back', end: End, code?: ErrorCode): Promise<void> {
    if (this.#over) return Promise.resolve();
    this.#ended ??= new Promise((resolve) => {
      this.#tellEnded = resolve;
      this.#options.writer.end(this.#options.outbox, end, (written: EndOutcome) => {
        if (written === 'done') this.#finish(outcome, code);
        else this.#finish('lost');
      });
    });
    return this.#ended;
  }

  #finish(outcome: 'completed' | 'failed' | 'handed-back' | 'lost', code?: ErrorCode): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#deadlineTimer);
    // The handler may not know that the job ended.
    if (outcome === 'lost' || outcome === 'handed-back') {
      this.#abort(new Error(`job ${this.id} is no longer held by this worker: ${outcome}`));
    }
    this.#options.onEnd(outcome, code);
    this.#tellEnded();
  }

  #abort(reason: Error): void {
    this.#abortedBy ??= reason;
    this.#controller?.abort(reason);
  }

  /** @param at by the monotonic clock: somebody may set this machine's other one meanwhile */
  #watchDeadline(at: number): void {
    const left = at - performance.now();
    this.#deadlineTimer = setTimeout(
      () => (left > LONGEST_TIMER_MS ? this.#watchDeadline(at) : this.abort(deadlineExceeded())),
      Math.min(Math.max(left, 0), LONGEST_TIMER_MS),
    );
    this.#deadlineTimer.unref();
  }
}

export function deadlineExceeded(): ShoalError {
  return new ShoalError('deadline_exceeded', 'the request was not answered before its deadline');
}

export function cancelledByCaller(): ShoalError {
  return new ShoalError('cancelled', 'the request was cancelled');
}
