import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { describeConfig, type WorkerConfig, workerTable } from '@shoal/config';
import { type EngineOptions, EngineThread } from '@shoal/engine';
import type { ShoalError } from '@shoal/protocol';
import {
  type ClaimedJob,
  type Consumer,
  type ConsumerOptions,
  type ModelRegistry,
  openConsumer,
  openHealth,
  openRegistry,
  type RedisHealth,
} from '@shoal/queue';
import { createWorkerMetrics, type Logger, observeConsumer, observeEngine } from '@shoal/telemetry';
import { BatchLog } from './batch-log.ts';
import { handle } from './handle.ts';
import { HealthServer } from './health-server.ts';
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

/** Milliseconds that a hung engine gets to let go of the process. */
const EXIT_PATIENCE_MS = 2_000;

interface Parts {
  engine: EngineThread;
  consumer: Consumer;
  registry: ModelRegistry;
  redis: RedisHealth;
  health: HealthServer;
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
   * Loads the model, then begins to claim.
   *
   * @throws ShoalError when the model cannot be loaded or the health port cannot be had
   */
  static async start(config: Readonly<WorkerConfig>, logger: Logger): Promise<Worker> {
    const id = `${hostname().slice(0, 32)}-${process.pid}-${randomUUID().slice(0, 4)}`;
    logger.info({ worker: id, settings: describeConfig(workerTable, config) }, 'starting');
    const engine = await EngineThread.start(engineOptions(config), { onExit: (error) => die(error, logger) });
    const batches = new BatchLog();
    const metrics = createWorkerMetrics({ model: config.modelName });
    const redis = openHealth({ redisUrl: config.redisUrl });
    const health = new HealthServer({ registry: metrics.registry, batches, redis });
    try {
      await health.listen(config.metricsHost, config.metricsPort);
    } catch (error) {
      redis.close();
      await engine.close();
      throw error;
    }

    const watch = new StepWatch({
      stats: () => engine.stats(),
      // A static batch may wait this long before its first step.
      timeoutMs: config.stepTimeoutMs + (config.maxQueueDelayMs ?? 0),
      now: () => performance.now(),
    });
    watch.start(() => leaveHung(engine, config, logger));
    const consumer = openConsumer(consumerOptions(config, id, () => watch.alive));
    observeEngine(engine, metrics);
    observeConsumer(consumer, metrics, logger);
    engine.observe((fact) => batches.record(fact));
    consumer.start((job: ClaimedJob) => void handle(job, engine, id));

    const registry = openRegistry({ redisUrl: config.redisUrl, prefix: config.queuePrefix });
    const card = { name: config.modelName, ...engine.model };
    const retire = registry.announce(id, card, () => {
      health.announced = true;
    });
    logger.info({ model: config.modelName, ...engine.model, health: health.url }, 'ready');
    return new Worker({ engine, consumer, registry, redis, health, retire }, config, logger);
  }

  /** Stops claiming, finishes what fits the drain timeout, hands the rest back, and frees everything. Idempotent. */
  drain(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    const { engine, consumer, registry, redis, health, retire } = this.#parts;
    health.draining = true;
    await retire();
    await consumer.close({ timeoutMs: this.#config.drainTimeoutMs });
    await engine.close();
    registry.close();
    redis.close();
    await health.close();
    this.#logger.info('drained');
  }
}

function engineOptions(config: Readonly<WorkerConfig>): EngineOptions {
  return {
    modelDirectory: config.model,
    dtype: config.modelDtype,
    executionProvider: config.executionProvider,
    ...(config.intraOpThreads === 0 ? {} : { intraOpThreads: config.intraOpThreads }),
    batching: config.batching,
    maxBatchSize: config.maxBatchSize,
    maxQueueDelayMs: config.maxQueueDelayMs,
    maxBatchTokens: config.maxBatchTokens,
    maxModelLen: config.maxModelLen,
    kvCacheMb: config.kvCacheMb,
  };
}

function consumerOptions(config: Readonly<WorkerConfig>, id: string, alive: () => boolean): ConsumerOptions {
  return {
    redisUrl: config.redisUrl,
    prefix: config.queuePrefix,
    model: config.modelName,
    // Only what can run now, so that no job waits inside a busy worker while another is free. A static batch runs to
    // its end: there, the next one fills meanwhile.
    capacity: config.batching === 'static' ? 2 * config.maxBatchSize : config.maxBatchSize,
    worker: id,
    lockDurationMs: config.lockDurationMs,
    stalledIntervalMs: config.stalledIntervalMs,
    maxQueueWaitMs: config.maxQueueWaitMs,
    resultTtlS: config.resultTtlS,
    maxAttempts: config.maxAttempts,
    alive,
  };
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
