export { type Clock, systemClock } from './clock.ts';
export { Engine } from './engine.ts';
export type {
  BatchingPolicy,
  EngineDependencies,
  EngineOptions,
  ExecutionProvider,
  ModelDtype,
} from './engine-options.ts';
export type * from './events.ts';
export type * from './generation-engine.ts';
export { EngineThread } from './thread/engine-thread.ts';
