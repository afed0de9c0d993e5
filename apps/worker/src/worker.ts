import { spawn } from 'node:child_process';
import { describeConfig, type WorkerConfig, workerTable } from '@shoal/config';
import { type EngineOptions, EngineThread } from '@shoal/engine';
import type { ResumeLabel, ShoalError, WorkerReport } from '@shoal/protocol';
import {
  type ActivityPublisher,
  type ClaimedJob,
  type Consumer,
  type ConsumerOptions,
  type ModelRegistry,
  openActivityPublisher,
  openConsumer,
  openHealth,
  openRegistry,
  type RedisHealth,
} from '@shoal/queue';
import type { Logger, WorkerMetrics } from '@shoal/telemetry';
import { ActivityRecorder } from './activity-recorder.ts';
import { BatchLog } from './batch-log.ts';
import { handle } from './handle.ts';
import { HealthServer } from './health-server.ts';
import { byName, LiveSettings, type WorkerTuning } from './live-settings.ts';
import { locate } from './locate-model.ts';
import { Observation, type ObservationParts } from './observation.ts';
import { StepWatch } from './step-watch.ts';

/** Exit codes of the worker process. */
export const EXIT = {
  ok: 0,
  /** Settings, model or port: nothing was claimed. */
  badStart: 1,
  /** The engine thread died: the jobs it held are redelivered to other workers. */
  engineDied: 70,
  /** A step took longer than STEP_TIMEOUT_MS: the device hangs. The same holds for its jobs. */
  engineHung: 71,
  /** A second signal during the drain. */
  interrupted: 130,
} as const;

/** What `MAX_QUEUE_DELAY_MS` is with static batching when it is not set. */
const STATIC_DELAY_MS = 10;
/** Jobs that wait in the engine for the next free slots: an end and the next claim are a round trip apart. */
const PREFETCH = 2;
/** Milliseconds that a hung engine gets to let go of the process. */
const EXIT_PATIENCE_MS = 2_000;

interface Parts {
  engine: EngineThread;
  consumer: Consumer;
  registry: ModelRegistry;
  redis: RedisHealth;
  health: HealthServer;
  activity: ActivityPublisher;
  live: LiveSettings;
  observation: Observation;
  /** Tells the registry that this worker is gone. */
  retire: () => Promise<void>;
}

/** Consumer, engine and telemetry, wired: claimed jobs go to `handle`, facts go to the metrics. */
export class Worker {
  readonly #parts: Parts;
  readonly #config: Readonly<WorkerConfig>;
  readonly #logger: Logger;
  #draining: Promise<void> | undefined;

  private constructor(parts: Parts, config: Readonly<WorkerConfig>, logger: Logger) {
    this.#parts = parts;
    this.#config = config;
    this.#logger = logger;
  }

  /**
   * Opens the health port, loads the model, then begins to claim. The level of the logger may change.
   *
   * @param leaving ends a start that waits for its model; a load in progress goes on until the process ends
   * @throws ShoalError when the model cannot be loaded or the health port cannot be had; the reason of `leaving`
   */
  static async start({ id, config, logger }: ObservationParts, leaving: AbortSignal): Promise<Worker> {
    logger.info({ settings: describeConfig(workerTable, config) }, 'starting');
    const observation = await Observation.start({ id, config, logger });
    const { metrics } = observation;
    const batches = new BatchLog();
    const redis = openHealth({ redisUrl: config.redisUrl });
    const registryOfMetrics = config.metrics === 'on' ? metrics.registry : undefined;
    const health = new HealthServer({ registry: registryOfMetrics, batches, redis });
    // Open before the model is there: an orchestrator asks whether this process lives long before it can be ready.
    const engine = await startEngine(config, logger, health, leaving).catch(async (error: unknown) => {
      redis.close();
      await health.close();
      throw error;
    });
    observation.attach(engine);

    const names = { redisUrl: config.redisUrl, prefix: config.queuePrefix };
    const registry = openRegistry(names);
    const live = new LiveSettings({
      atStart: tuningOf(config),
      slots: engine.stats().slots,
      batching: config.batching,
      read: () => registry.settings(config.modelName),
      apply: (tuning) => {
        engine.tune(tuning);
        consumer.resize(live.capacity);
        logger.level = tuning.logLevel;
        showSettings(metrics, logger, tuning);
      },
      logger,
    });
    const watch = new StepWatch({
      stats: () => engine.stats(),
      stepTimeoutMs: config.stepTimeoutMs,
      maxQueueDelayMs: () => live.inForce.maxQueueDelayMs,
      now: () => performance.now(),
    });
    watch.start(() => leaveHung(engine, config, logger));
    const consumer = openConsumer(consumerOptions(config, id, live.capacity, () => watch.alive));
    observation.observe(consumer);
    showSettings(metrics, logger, live.inForce);
    engine.observe((fact) => batches.record(fact));
    const recorder = new ActivityRecorder({ worker: id, stats: () => engine.stats(), now: Date.now });
    engine.observe((fact) => recorder.record(fact));
    const onResumed = (label: ResumeLabel): void => metrics.resumes.inc({ label });
    const handling = { worker: id, resume: config.resume, onResumed };
    consumer.start((job: ClaimedJob) => {
      // The engine begins while this thread does the rest.
      const handled = handle(observation.watched(job), engine, handling);
      recorder.claimed(job);
      void handled.then(() => recorder.ended(job.id));
    });

    live.start();
    const activity = openActivityPublisher({ ...names, model: config.modelName, source: recorder });
    const card = { name: config.modelName, ...engine.model };
    const report = (): WorkerReport => observation.report(health.draining ? 'draining' : 'ready', byName(live.inForce));
    const onAnnounced = (): void => {
      health.announced = true;
    };
    const retire = registry.announce(id, card, onAnnounced, report);
    redis.ping().catch((error: Error) => logger.warn(`not ready: ${error.message}`));
    logger.info({ model: config.modelName, ...engine.model, health: health.url }, 'ready');
    const parts = { engine, consumer, registry, redis, health, activity, retire, live, observation };
    return new Worker(parts, config, logger);
  }

  /** Stops claiming, finishes what fits the drain timeout, hands the rest back, and frees everything. Idempotent. */
  drain(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    const { engine, consumer, registry, redis, health, activity, retire, live, observation } = this.#parts;
    health.draining = true;
    live.stop();
    // Nothing that is held waits for the registry, which may be slow to answer.
    await Promise.all([consumer.close({ timeoutMs: this.#config.drainTimeoutMs }), retire()]);
    await engine.close();
    await observation.close();
    activity.close();
    registry.close();
    redis.close();
    await health.close();
    this.#logger.info('drained');
  }
}

/** Opens the health port, then finds and loads the model, which may take minutes. */
async function startEngine(
  config: Readonly<WorkerConfig>,
  logger: Logger,
  health: HealthServer,
  leaving: AbortSignal,
): Promise<EngineThread> {
  await health.listen(config.metricsHost, config.metricsPort);
  const modelDirectory = await locate(config, logger, health, leaving);
  leaving.throwIfAborted();
  health.phase = 'loading the model';
  const options = engineOptions(config, modelDirectory);
  const engine = await unlessAborted(leaving, EngineThread.start(options, { onExit: (error) => die(error, logger) }));
  health.phase = 'loaded';
  return engine;
}

/** What `work` comes to, or the signal's reason, which does not wait for it. */
function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    work.then(resolve, reject);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function engineOptions(config: Readonly<WorkerConfig>, modelDirectory: string): EngineOptions {
  return {
    modelDirectory,
    dtype: config.modelDtype,
    executionProvider: config.executionProvider,
    deviceId: config.deviceId,
    ...(config.intraOpThreads === 0 ? {} : { intraOpThreads: config.intraOpThreads }),
    batching: config.batching,
    maxBatchSize: config.maxBatchSize,
    maxQueueDelayMs: config.maxQueueDelayMs,
    maxBatchTokens: config.maxBatchTokens,
    maxModelLen: config.maxModelLen,
    kvCacheMb: config.kvCacheMb,
  };
}

function consumerOptions(
  config: Readonly<WorkerConfig>,
  id: string,
  capacity: number,
  alive: () => boolean,
): ConsumerOptions {
  return {
    redisUrl: config.redisUrl,
    prefix: config.queuePrefix,
    model: config.modelName,
    capacity,
    // A static batch is filled before it starts, and nobody joins.
    prefetch: config.batching === 'static' ? 0 : PREFETCH,
    worker: id,
    lockDurationMs: config.lockDurationMs,
    stalledIntervalMs: config.stalledIntervalMs,
    maxQueueWaitMs: config.maxQueueWaitMs,
    resultTtlS: config.resultTtlS,
    maxAttempts: config.maxAttempts,
    alive,
  };
}

function tuningOf(config: Readonly<WorkerConfig>): WorkerTuning {
  const { maxBatchSize, maxBatchTokens, logLevel, batching } = config;
  const maxQueueDelayMs = config.maxQueueDelayMs ?? (batching === 'static' ? STATIC_DELAY_MS : 0);
  return { maxBatchSize, maxQueueDelayMs, maxBatchTokens, logLevel };
}

function showSettings({ settings }: WorkerMetrics, logger: Logger, tuning: Readonly<WorkerTuning>): void {
  settings.set({ setting: 'MAX_BATCH_SIZE' }, tuning.maxBatchSize);
  settings.set({ setting: 'MAX_QUEUE_DELAY_MS' }, tuning.maxQueueDelayMs);
  settings.set({ setting: 'MAX_BATCH_TOKENS' }, tuning.maxBatchTokens);
  settings.set({ setting: 'LOG_LEVEL' }, logger.levels.values[tuning.logLevel] ?? Number.POSITIVE_INFINITY);
}

/** Without its engine a worker is a hole that swallows jobs: it leaves, and its locks lapse. */
function die(error: ShoalError, logger: Logger): void {
  logger.fatal(error.message);
  process.exit(EXIT.engineDied);
}

/**
 * A device that hangs would hold its jobs for ever. `process.exit` waits for the engine's native call to return, which
 * the interrupt asks for and nothing guarantees: another process sees to it. What the interrupt makes fail is written
 * nowhere, because this thread leaves before it could hear of it; the jobs' locks lapse, and they continue elsewhere.
 */
function leaveHung(engine: EngineThread, config: Readonly<WorkerConfig>, logger: Logger): void {
  logger.fatal(`a step of the engine took longer than STEP_TIMEOUT_MS=${config.stepTimeoutMs}: leaving`);
  const backstop = `setTimeout(() => process.kill(${process.pid}, 'SIGKILL'), ${EXIT_PATIENCE_MS})`;
  spawn(process.execPath, ['-e', backstop], { detached: true, stdio: 'ignore' }).unref();
  const leave = (): never => process.exit(EXIT.engineHung);
  void engine.interrupt().then(leave, leave);
}
