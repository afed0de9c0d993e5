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
export { loadModel } from './model/load-model.ts';
export type { ModelRunner, StepOutput } from './model-runner/model-runner.ts';
export { EngineThread } from './thread/engine-thread.ts';
