import { randomInt } from 'node:crypto';
import { OrtError } from '@shoal/ort';
import { type ChosenLogprob, ShoalError } from '@shoal/protocol';
import type { Answer } from './answer.ts';
import { BatchLog } from './batch-log.ts';
import { type Clock, systemClock } from './clock.ts';
import type { BatchingPolicy, EngineDependencies, EngineOptions } from './engine-options.ts';
import { type EventSink, EventStream } from './event-stream.ts';
import type { EngineFact } from './events.ts';
import type {
  EngineEvent,
  EngineModel,
  EngineRequest,
  EngineStats,
  EngineTuning,
  GenerationEngine,
} from './generation-engine.ts';
import { type Beat, Heartbeat } from './heartbeat.ts';
import { CacheLost } from './kv-cache/cache-rows.ts';
import { loadModel } from './model/load-model.ts';
import type { ModelRunner, StepOutput } from './model-runner/model-runner.ts';
import { Observers } from './observers.ts';
import { RequestDesk } from './request-desk.ts';
import { runPlan } from './run-plan.ts';
import { StepSampler } from './sampling/sampler.ts';
import { planPrefills, planSequences, planTokens, type Scheduler, type StepPlan } from './scheduler.ts';
import type { Sequence } from './sequence.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** What an engine is made of. `Engine.load` builds it from a model directory. */
export interface EngineParts {
  model: EngineModel;
  tokenizer: Tokenizer;
  /** Any of these tokens ends an answer. */
  eosTokenIds: readonly number[];
  batching: BatchingPolicy;
  /** Tokens of one prefill for which there is memory: `maxBatchTokens` is tuned no higher. Absent: no such bound. */
  mostBatchTokens?: number | undefined;
  scheduler: Scheduler;
  runner: ModelRunner;
}

/** The engine in this thread: one loop of steps, running while there is work. */
export class Engine implements GenerationEngine {
  readonly model: EngineModel;
  readonly #scheduler: Scheduler;
  readonly #runner: ModelRunner;
  readonly #clock: Clock;
  readonly #desk: RequestDesk;
  readonly #facts = new Observers<EngineFact>();
  readonly #mostBatchTokens: number;
  readonly #batchLog: BatchLog | undefined;
  readonly #heartbeat: Heartbeat;
  /** Requests in flight, by id: of two with the same id, the one that was not aborted. */
  readonly #answers = new Map<string, Answer>();
  readonly #open = new Set<Answer>();
  readonly #aborted = new Set<Answer>();
  /** Those that were said to have joined the batch, and not to have left it. */
  readonly #riding = new Set<Sequence>();
  #steps = 0;
  #closing: Promise<void> | undefined;

  constructor(parts: EngineParts, dependencies: EngineDependencies = {}) {
    this.model = parts.model;
    this.#scheduler = parts.scheduler;
    this.#runner = parts.runner;
    this.#clock = dependencies.clock ?? systemClock;
    this.#desk = new RequestDesk({ ...parts, drawSeed: dependencies.drawSeed ?? (() => randomInt(2 ** 48 - 1)) });
    this.#mostBatchTokens = parts.mostBatchTokens ?? Number.POSITIVE_INFINITY;
    this.#batchLog = parts.batching === 'static' ? new BatchLog() : undefined;
    this.#heartbeat = new Heartbeat(() => this.#step(), this.#clock);
  }

  /** Throws `model_not_found` when the directory does not hold a usable model; the message says what to do. */
  static async load(options: EngineOptions, dependencies: EngineDependencies = {}): Promise<Engine> {
    return new Engine(await loadModel(options), dependencies);
  }

  /** One run of the model, for all sequences that share it: schedule → run → sample → emit. */
  async #step(): Promise<Beat> {
    this.#dropAborted();
    const decision = this.#scheduler.schedule(this.#clock.now());
    if (decision.type === 'idle') return 'rest';
    if (decision.type === 'wait') return { until: decision.until };
    const { plan, preempted } = decision;
    const startedAt = this.#begin(plan, preempted, decision.reused);
    try {
      const output = await runPlan(plan, this.#scheduler, this.#runner);
      this.#advance(plan, startedAt);
      await this.#emit(plan, output);
    } catch (cause) {
      this.#runFailed(plan, cause);
    }
    this.#end();
    return 'again';
  }

  generate(request: EngineRequest, signal?: AbortSignal): AsyncIterable<EngineEvent> {
    let abort = (): void => {};
    const stream = new EventStream(() => abort(), signal);
    try {
      abort = this.submit(request, stream);
      stream.watch();
    } catch (cause) {
      stream.fail(asShoalError(cause));
    }
    return stream;
  }

  /**
   * `generate` for callers that take events as they come. Returns the function that aborts the request.
   *
   * @throws ShoalError when the request cannot be taken
   */
  submit(request: EngineRequest, sink: EventSink): () => void {
    if (this.#closing !== undefined) throw new ShoalError('unavailable', 'the engine is closing: try again elsewhere');
    const before = this.#answers.get(request.id);
    // A job may come back to the worker that lost it, and has told this engine so, before the next step.
    if (before !== undefined && !this.#aborted.has(before)) {
      throw new ShoalError('invalid_request_error', `a request with id ${request.id} is running already`);
    }
    const answer = this.#desk.accept(request, sink, this.#clock.now());
    this.#answers.set(request.id, answer);
    this.#open.add(answer);
    for (const sequence of answer.starting) this.#scheduler.add(sequence);
    if (answer.complete) this.#finish(answer);
    this.#heartbeat.stir();
    return () => {
      if (!this.#open.has(answer)) return;
      this.#aborted.add(answer);
      this.#heartbeat.stir();
    };
  }

  /** For another thread, to end a run that takes too long; see `ModelRunner`. */
  get interruptHandle(): bigint {
    return this.#runner.interruptHandle;
  }

  stats(): EngineStats {
    const { waiting, running, cache } = this.#scheduler;
    const { slots } = this.#runner;
    const kvBudgetTokens = cache.budgetTokens ?? slots * this.model.maxModelLen;
    return { waiting, running, slots, steps: this.#steps, kvUsedTokens: cache.usedTokens, kvBudgetTokens };
  }

  tune(tuning: EngineTuning): void {
    const { limits } = this.#scheduler;
    const { maxBatchSize, maxQueueDelayMs, maxBatchTokens } = { ...limits, ...definedOf(tuning) };
    this.#scheduler.tune({
      maxBatchSize: Math.max(1, Math.min(maxBatchSize, this.#runner.slots)),
      maxQueueDelayMs: Math.max(0, maxQueueDelayMs),
      maxBatchTokens: Math.max(2, Math.min(maxBatchTokens, this.#mostBatchTokens)),
    });
    // What waits for company may have waited long enough by now.
    this.#heartbeat.stir();
  }

  observe(listener: (fact: EngineFact) => void): () => void {
    return this.#facts.add(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    for (const answer of this.#open) this.#aborted.add(answer);
    this.#scheduler.close();
    this.#heartbeat.stir();
    await this.#heartbeat.stop();
    await this.#runner.close();
  }

  #begin(plan: StepPlan, preempted: readonly Sequence[], reused: number | undefined): number {
    const now = this.#clock.now();
    for (const sequence of preempted) {
      const { answer, length } = sequence;
      this.#facts.notify({ type: 'preempted', requestId: answer.requestId, tokens: length });
      this.#left(sequence);
    }
    const prefills = planPrefills(plan);
    for (const { sequence } of prefills) {
      this.#joined(sequence);
      if (sequence.startedAt > 0) continue;
      sequence.startedAt = now;
      sequence.batchId = plan.batchId ?? 0;
      sequence.batchSize = this.#scheduler.running;
      if (sequence.choice > 0) continue;
      const { requestId } = sequence.answer;
      this.#facts.notify({ type: 'started', requestId, waitedMs: now - sequence.arrivedAt });
    }
    for (const { sequence } of reused === undefined ? [] : prefills) {
      this.#facts.notify({ type: 'prefix-hit', requestId: sequence.answer.requestId, tokens: reused ?? 0 });
    }
    if (plan.phase === 'prefill') this.#batchLog?.begin(plan, now);
    return now;
  }

  /** Notes what was computed, for all rows before any leaves: one that moves into a freed slot takes it along. */
  #advance(plan: StepPlan, startedAt: number): void {
    if (plan.phase === 'decode') for (const sequence of plan.rows) sequence.computed += 1;
    for (const { sequence, to } of planPrefills(plan)) sequence.computed = to;
    const durationMs = this.#clock.now() - startedAt;
    this.#scheduler.ran(plan, durationMs);
    this.#steps += 1;
    const { real, padded } = planTokens(plan);
    const batchSize = plan.rows.length;
    const paddingTokens = padded - real;
    const { phase } = plan;
    const promptTokens = phase === 'decode' && plan.chunk ? real - batchSize : undefined;
    this.#facts.notify({ type: 'step', phase, batchSize, tokens: real, promptTokens, paddingTokens, durationMs });
  }

  /** Chooses the next token of each row and tells its reader. A row that cannot go on fails alone. */
  async #emit(plan: StepPlan, output: StepOutput): Promise<void> {
    const startedAt = this.#clock.now();
    const rows = planSequences(plan).map((sequence) => (sequence.awaitsToken ? sequence : undefined));
    if (rows.every((sequence) => sequence === undefined)) return;
    const sampler = await StepSampler.prepare(output, rows);
    let tokens = 0;
    for (const [row, sequence] of rows.entries()) {
      // Another choice of the same request may have failed it in this very step.
      if (sequence === undefined || sequence.state === 'finished') continue;
      try {
        tokens += this.#choose(sampler, row, sequence);
      } catch (cause) {
        this.#fail(sequence.answer, cause);
      }
    }
    this.#batchLog?.step(plan, tokens);
    const durationMs = this.#clock.now() - startedAt;
    this.#facts.notify({ type: 'sample', tokens, wholeRows: sampler.wholeRows, durationMs });
  }

  /** The next token of a sequence; after a shared prefill also the first ones of the choices that share it. */
  #choose(sampler: StepSampler, row: number, sequence: Sequence): number {
    const forks = sequence.choice === 0 ? sequence.answer.takeForks() : [];
    const chosen = [sequence, ...forks].map((chooser) => ({ chooser, ...sampler.choose(row, chooser) }));
    for (const { chooser, token, logprob } of chosen) this.#append(chooser, token, logprob);
    // They copy the row of the cache before its owner, if that was its only token, gives it up.
    for (const fork of forks) {
      fork.startedAt = sequence.startedAt;
      if (fork.finishReason === undefined) this.#scheduler.fork(sequence, fork);
      if (fork.slot !== undefined) this.#joined(fork);
    }
    for (const { chooser } of chosen) if (chooser.finishReason !== undefined) this.#leave(chooser);
    if (sequence.answer.complete) this.#finish(sequence.answer);
    return chosen.length;
  }

  /** Those who can be tried again in smaller company are; the others fail. */
  #runFailed(plan: StepPlan, cause: unknown): void {
    const { message } = asShoalError(cause);
    this.#facts.notify({ type: 'run-failed', phase: plan.phase, batchSize: plan.rows.length, message });
    // What was computed cannot be computed again, and a run that was ended from outside took too long already.
    const computed = planSequences(plan).some((sequence) => sequence.awaitsToken || sequence.state === 'finished');
    const final = computed || (cause instanceof OrtError && cause.code === 'terminated');
    const lost = cause instanceof CacheLost ? this.#scheduler.cacheLost() : undefined;
    const failed = lost ?? (final ? planSequences(plan) : this.#scheduler.failed(plan));
    for (const { answer } of failed) this.#fail(answer, cause);
    for (const sequence of this.#riding) if (sequence.state === 'waiting') this.#left(sequence);
  }

  #append(sequence: Sequence, token: number, logprob: ChosenLogprob | undefined): void {
    const now = this.#clock.now();
    const { answer } = sequence;
    const text = sequence.append(token, now);
    if (answer.generatedTokens === 1) {
      const afterMs = now - sequence.arrivedAt;
      this.#facts.notify({ type: 'first-token', requestId: answer.requestId, afterMs });
    }
    answer.tell(sequence, token, text, logprob);
  }

  #dropAborted(): void {
    for (const answer of this.#aborted) if (this.#open.has(answer)) this.#finish(answer);
    this.#aborted.clear();
  }

  /** The answer is complete, or was aborted. */
  #finish(answer: Answer): void {
    const event = answer.finishedEvent(this.#clock.now());
    this.#forget(answer, event.finishReason);
    answer.sink.finish(event);
  }

  #fail(answer: Answer, cause: unknown): void {
    if (!this.#open.has(answer)) return;
    this.#forget(answer, 'error');
    answer.sink.fail(asShoalError(cause));
  }

  #forget(answer: Answer, outcome: 'stop' | 'length' | 'abort' | 'error'): void {
    for (const sequence of answer.sequences) this.#leave(sequence);
    this.#open.delete(answer);
    if (this.#answers.get(answer.requestId) === answer) this.#answers.delete(answer.requestId);
    const { requestId, promptTokens, generatedTokens } = answer;
    this.#facts.notify({ type: 'sequence-finished', requestId, outcome, promptTokens, generatedTokens });
  }

  #leave(sequence: Sequence): void {
    if (sequence.state === 'finished') return;
    this.#scheduler.remove(sequence);
    sequence.state = 'finished';
    this.#left(sequence);
  }

  #joined(sequence: Sequence): void {
    if (this.#riding.has(sequence)) return;
    this.#riding.add(sequence);
    this.#facts.notify({ type: 'joined', requestId: sequence.answer.requestId, choice: sequence.choice });
  }

  #left(sequence: Sequence): void {
    if (!this.#riding.delete(sequence)) return;
    this.#facts.notify({ type: 'left', requestId: sequence.answer.requestId, choice: sequence.choice });
  }

  #end(): void {
    if (this.#batchLog === undefined || this.#scheduler.running > 0) return;
    const batch = this.#batchLog.end(this.#clock.now());
    if (batch !== undefined) this.#facts.notify({ type: 'batch', batch });
  }
}

/** A copy without what is undefined, which must not cover what was there. */
function definedOf(tuning: EngineTuning): { [Key in keyof EngineTuning]: number } {
  return Object.fromEntries(Object.entries(tuning).filter(([, value]) => value !== undefined));
}

/** What a caller may see of a failure: errors of the runtime become `inference_error`. */
export function asShoalError(cause: unknown): ShoalError {
  if (cause instanceof ShoalError) return cause;
  const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
  return new ShoalError('inference_error', `the model failed on this request: ${reason}; try again`, { cause });
}
