import { Engine, type EngineOptions, loadModel } from '@shoal/engine';

/** An engine, and the positions that the rows of its last decode step of each batch size held before it. */
export interface WatchedEngine {
  readonly engine: Engine;
  readonly lengths: ReadonlyMap<number, readonly number[]>;
}

/** Loads an engine that tells how long its rows were, so that others can be given rows of the same length. */
export async function loadWatched(options: EngineOptions): Promise<WatchedEngine> {
  const parts = await loadModel(options);
  const lengths = new Map<number, readonly number[]>();
  const { runner } = parts;
  const decode = runner.decode.bind(runner);
  runner.decode = (tokenIds, pasts, behind) => {
    lengths.set(tokenIds.length, pasts);
    return decode(tokenIds, pasts, behind);
  };
  return { engine: new Engine(parts), lengths };
}
