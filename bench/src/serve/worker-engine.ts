import { type BatchingPolicy, EngineThread, type ModelDtype } from '@shoal/engine';

/** The engine on its own thread, with the settings that a Shoal worker has in its environment. */
export function engineFromEnvironment(batching: BatchingPolicy): Promise<EngineThread> {
  const { MODEL = '', MODEL_DTYPE, INTRA_OP_THREADS, MAX_BATCH_SIZE, MAX_MODEL_LEN } = process.env;
  return EngineThread.start(
    {
      modelDirectory: MODEL,
      dtype: MODEL_DTYPE as ModelDtype,
      executionProvider: 'cpu',
      intraOpThreads: Number(INTRA_OP_THREADS),
      maxBatchSize: Number(MAX_BATCH_SIZE),
      maxModelLen: Number(MAX_MODEL_LEN),
      batching,
    },
    { onExit: () => process.exit(70) },
  );
}
