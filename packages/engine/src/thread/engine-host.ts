import type { ShoalError } from '@shoal/protocol';
import type { Engine } from '../engine.ts';
import { asShoalError } from '../engine.ts';
import type { EventSink } from '../event-stream.ts';
import type { FinishedEvent } from '../generation-engine.ts';
import type { ThreadCommand, ThreadReport, TicketEvent } from './messages.ts';
import type { SharedStats } from './shared-stats.ts';

type StepReport = Extract<ThreadReport, { type: 'step' }>;

/** The engine thread's inside: carries out commands, and reports once per step with all that the step brought. */
export class EngineHost {
  readonly #engine: Engine;
  readonly #stats: SharedStats;
  readonly #post: (report: ThreadReport) => void;
  readonly #aborts = new Map<number, () => void>();
  #outbox: StepReport | undefined;
  #flushing = false;

  constructor(engine: Engine, stats: SharedStats, post: (report: ThreadReport) => void) {
    this.#engine = engine;
    this.#stats = stats;
    this.#post = post;
    engine.observe((fact) => {
      // Before the run, so that whoever watches the statistics sees that something is running while it lasts.
      if (fact.type === 'started') stats.write(engine.stats());
      this.#pending().facts.push(fact);
      if (fact.type !== 'step') this.#flushSoon();
      // The tokens that follow take it along: the other thread is woken once, not twice. Not every step brings some.
      else setImmediate(() => this.#flush());
    });
  }

  async handle(command: ThreadCommand): Promise<void> {
    if (command.type === 'generate') this.#generate(command.ticket, command.request);
    else if (command.type === 'abort') this.#aborts.get(command.ticket)?.();
    else if (command.type === 'tune') this.#engine.tune(command.tuning);
    else {
      await this.#engine.close();
      this.#flush();
      this.#post({ type: 'closed' });
    }
  }

  #generate(ticket: number, request: Extract<ThreadCommand, { type: 'generate' }>['request']): void {
    const sink: EventSink = {
      tokens: (event) => this.#report({ type: 'tokens', ticket, event }),
      finish: (event: FinishedEvent) => this.#end({ type: 'finished', ticket, event }),
      fail: (error: ShoalError) => this.#end({ type: 'failed', ticket, error: error.toBody() }),
    };
    // One that is complete already ends before there is anything to abort it by.
    this.#aborts.set(ticket, () => {});
    try {
      const abort = this.#engine.submit(request, sink);
      if (this.#aborts.has(ticket)) this.#aborts.set(ticket, abort);
    } catch (cause) {
      sink.fail(asShoalError(cause));
    }
    this.#stats.write(this.#engine.stats());
  }

  #end(event: TicketEvent): void {
    this.#aborts.delete(event.ticket);
    this.#report(event);
  }

  #report(event: TicketEvent): void {
    this.#pending().events.push(event);
    this.#flushSoon();
  }

  #pending(): StepReport {
    this.#outbox ??= { type: 'step', events: [], facts: [] };
    return this.#outbox;
  }

  /** What a step brings arrives in one piece of synchronous code, so the report goes out right after it. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    this.#stats.write(this.#engine.stats());
    if (this.#outbox !== undefined) this.#post(this.#outbox);
    this.#outbox = undefined;
  }
}
