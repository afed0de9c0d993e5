export { type Clock, systemClock } from './clock.ts';
export { Engine, type EngineParts } from './engine.ts';
export type {
  BatchingPolicy,
  EngineDependencies,
  EngineOptions,
  ExecutionProvider,
  ModelDtype,
} from './engine-options.ts';
export type * from './events.ts';
export type * from './generation-engine.ts';
export type { HubOptions } from './model/hub/hub-options.ts';
export { locateModel } from './model/hub/locate-model.ts';
export { parseModelId } from './model/hub/model-id.ts';
export type { PullEvent, PullProgress } from './model/hub/pull-event.ts';
export { type PulledModel, type PullOptions, pullModel } from './model/hub/pull-model.ts';
export { inspectModel, type ModelReport } from './model/inspect-model.ts';
export { loadModel } from './model/load-model.ts';
export type { ModelRunner, StepOutput } from './model-runner/model-runner.ts';
export { EngineThread } from './thread/engine-thread.ts';
