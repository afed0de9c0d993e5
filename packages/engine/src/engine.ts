import { randomInt } from 'node:crypto';
import { ShoalError } from '@shoal/protocol';
import { BatchLog } from './batch-log.ts';
import { type Clock, systemClock } from './clock.ts';
import type { BatchingPolicy, EngineDependencies, EngineOptions } from './engine-options.ts';
import { type EventSink, EventStream } from './event-stream.ts';
import type { EngineFact } from './events.ts';
import type { EngineEvent, EngineModel, EngineRequest, EngineStats, GenerationEngine } from './generation-engine.ts';
import { type Beat, Heartbeat } from './heartbeat.ts';
import { loadModel } from './model/load-model.ts';
import type { ModelRunner, StepOutput } from './model-runner/model-runner.ts';
import { Observers } from './observers.ts';
import { checkResume, tokenisePrompt } from './prepare-request.ts';
import { sample } from './sampling/sampler.ts';
import { runPlan } from './run-plan.ts';
import { planSequences, planTokens, type Scheduler, type StepPlan } from './scheduler.ts';
import { Sequence } from './sequence.ts';
import { TextAssembler } from './tokenizer/text-assembler.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** What an engine is made of. `Engine.load` builds it from a model directory. */
export interface EngineParts {
  model: EngineModel;
  tokenizer: Tokenizer;
  /** Any of these tokens ends an answer. */
  eosTokenIds: readonly number[];
  batching: BatchingPolicy;
  scheduler: Scheduler;
  runner: ModelRunner;
}

/** The engine in this thread: one loop of steps, running while there is work. */
export class Engine implements GenerationEngine {
  readonly model: EngineModel;
  readonly #tokenizer: Tokenizer;
  readonly #eosTokenIds: ReadonlySet<number>;
  readonly #scheduler: Scheduler;
  readonly #runner: ModelRunner;
  readonly #clock: Clock;
  readonly #drawSeed: () => number;
  readonly #facts = new Observers<EngineFact>();
  readonly #batchLog: BatchLog | undefined;
  readonly #heartbeat: Heartbeat;
  readonly #sequences = new Map<string, Sequence>();
  readonly #aborted = new Set<Sequence>();
  #steps = 0;
  #accepted = 0;
  #closing: Promise<void> | undefined;

  constructor(parts: EngineParts, dependencies: EngineDependencies = {}) {
    this.model = parts.model;
    this.#tokenizer = parts.tokenizer;
    this.#eosTokenIds = new Set(parts.eosTokenIds);
    this.#scheduler = parts.scheduler;
    this.#runner = parts.runner;
    this.#clock = dependencies.clock ?? systemClock;
    this.#drawSeed = dependencies.drawSeed ?? (() => randomInt(2 ** 48 - 1));
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
    const startedAt = this.#begin(plan, preempted);
    try {
      const output = await runPlan(plan, this.#scheduler, this.#runner);
      this.#advance(plan, startedAt);
      this.#emit(plan, output);
    } catch (cause) {
      for (const sequence of planSequences(plan)) if (sequence.state !== 'finished') this.#fail(sequence, cause);
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
    if (this.#sequences.has(request.id)) {
      throw new ShoalError('invalid_request_error', `a request with id ${request.id} is running already`);
    }
    const sequence = this.#sequenceOf(request, sink);
    this.#sequences.set(sequence.id, sequence);
    if (sequence.finishReason === undefined) {
      this.#scheduler.add(sequence);
      this.#heartbeat.stir();
    } else this.#finish(sequence, sequence.finishReason);
    return () => {
      if (this.#sequences.get(sequence.id) !== sequence) return;
      this.#aborted.add(sequence);
      this.#heartbeat.stir();
    };
  }

  stats(): EngineStats {
    const { waiting, running } = this.#scheduler;
    return { waiting, running, slots: this.#runner.slots, steps: this.#steps };
  }

  observe(listener: (fact: EngineFact) => void): () => void {
    return this.#facts.add(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    for (const sequence of this.#sequences.values()) this.#aborted.add(sequence);
    this.#scheduler.close();
    this.#heartbeat.stir();
    await this.#heartbeat.stop();
    await this.#runner.close();
  }

  #sequenceOf(request: EngineRequest, sink: EventSink): Sequence {
    const promptTokenIds = tokenisePrompt(request, this.model, this.#tokenizer);
    const room = this.model.maxModelLen - promptTokenIds.length;
    const now = this.#clock.now();
    const sequence = new Sequence({
      id: request.id,
      promptTokenIds,
      params: request.params,
      seed: request.params.seed ?? this.#drawSeed(),
      maxNewTokens: Math.min(request.params.maxTokens ?? room, room),
      tenant: request.tenant,
      arrivedAt: now,
      ordinal: this.#accepted++,
      text: new TextAssembler((tokenIds) => this.#tokenizer.decode(tokenIds), request.params.stop),
      sink,
    });
    const resumed = checkResume(request, this.model);
    if (sequence.resume(resumed, (token) => this.#eosTokenIds.has(token), now)) return sequence;
    throw new ShoalError('invalid_request_error', 'the tokens to resume from go on after the end of the answer', {
      param: 'resumeFrom',
    });
  }

  #begin(plan: StepPlan, preempted: readonly Sequence[]): number {
    const now = this.#clock.now();
    for (const { id, length } of preempted) this.#facts.notify({ type: 'preempted', requestId: id, tokens: length });
    if (plan.phase === 'decode') return now;
    for (const { sequence } of plan.rows) {
      if (sequence.startedAt > 0) continue;
      sequence.startedAt = now;
      sequence.batchId = plan.batchId;
      sequence.batchSize = this.#scheduler.running;
      this.#facts.notify({ type: 'started', requestId: sequence.id, waitedMs: now - sequence.arrivedAt });
    }
    this.#batchLog?.begin(plan, now);
    return now;
  }

  /** Notes what was computed, for all rows before any leaves: one that moves into a freed slot takes it along. */
  #advance(plan: StepPlan, startedAt: number): void {
    if (plan.phase === 'decode') for (const sequence of plan.rows) sequence.computed += 1;
    else for (const { sequence, to } of plan.rows) sequence.computed = to;
    const durationMs = this.#clock.now() - startedAt;
    this.#scheduler.ran(plan, durationMs);
    this.#steps += 1;
    const { real, padded } = planTokens(plan);
    const batchSize = plan.rows.length;
    const paddingTokens = padded - real;
    this.#facts.notify({ type: 'step', phase: plan.phase, batchSize, tokens: real, paddingTokens, durationMs });
  }

  /** Chooses the next token of each row and tells its reader. A row that cannot go on fails alone. */
  #emit(plan: StepPlan, output: StepOutput): void {
    let generated = 0;
    for (const [index, sequence] of planSequences(plan).entries()) {
      if (!sequence.awaitsToken) continue;
      generated += 1;
      try {
        const token = sample(output.logits(index), sequence.params, sequence.seed, sequence.tokenIds.length);
        this.#append(sequence, token);
      } catch (cause) {
        this.#fail(sequence, cause);
      }
    }
    this.#batchLog?.step(plan, generated);
  }

  #append(sequence: Sequence, token: number): void {
    const now = this.#clock.now();
    const position = sequence.tokenIds.length;
    const text = sequence.append(token, this.#eosTokenIds.has(token), now);
    if (position === 0) {
      this.#facts.notify({ type: 'first-token', requestId: sequence.id, afterMs: now - sequence.arrivedAt });
    }
    sequence.sink.tokens(position, [token], text);
    if (sequence.finishReason !== undefined) this.#finish(sequence, sequence.finishReason);
  }

  #dropAborted(): void {
    for (const sequence of this.#aborted) {
      if (sequence.state !== 'finished') this.#finish(sequence, 'abort');
    }
    this.#aborted.clear();
  }

  #finish(sequence: Sequence, reason: 'stop' | 'length' | 'abort'): void {
    this.#leave(sequence, reason);
    sequence.sink.finish(sequence.finishedEvent(reason));
  }

  #fail(sequence: Sequence, cause: unknown): void {
    this.#leave(sequence, 'error');
    sequence.sink.fail(asShoalError(cause));
  }

  #leave(sequence: Sequence, outcome: 'stop' | 'length' | 'abort' | 'error'): void {
    this.#scheduler.remove(sequence);
    this.#sequences.delete(sequence.id);
    sequence.state = 'finished';
    sequence.finishedAt = this.#clock.now();
    this.#facts.notify({
      type: 'sequence-finished',
      requestId: sequence.id,
      outcome,
      promptTokens: sequence.promptTokenIds.length,
      generatedTokens: sequence.tokenIds.length,
    });
  }

  #end(): void {
    if (this.#batchLog === undefined || this.#scheduler.running > 0) return;
    const batch = this.#batchLog.end(this.#clock.now());
    if (batch !== undefined) this.#facts.notify({ type: 'batch', batch });
  }
}

/** What a caller may see of a failure: errors of the runtime become `inference_error`, without their details. */
export function asShoalError(cause: unknown): ShoalError {
  if (cause instanceof ShoalError) return cause;
  const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
  return new ShoalError('inference_error', `the model failed on this request: ${reason}; try again`, { cause });
}
