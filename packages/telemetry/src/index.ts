export type { ApiMeasurements, ApiMetrics, QueueDepthSample } from './api-metrics.ts';
export { createApiMetrics } from './api-metrics.ts';
export type { Logger, LoggerOptions } from './logger.ts';
export { createLogger } from './logger.ts';
export { observeConsumer } from './observe-consumer.ts';
export { observeEngine } from './observe-engine.ts';
export { renderMetricsDocs } from './render-docs.ts';
export type { WorkerMeasurements, WorkerMetrics } from './worker-metrics.ts';
export { createWorkerMetrics } from './worker-metrics.ts';
