import { EngineThread } from '@shoal/engine';
import { answer as answerOf, request, together, type Work } from '../contestants/engine-load.ts';
import { answer } from '../queue/child.ts';
import { BATCH, LENGTH } from './contestant.ts';

// The engine alone in a process of its own, as it is in a worker, without queue and API.

let engine: EngineThread | undefined;

async function load({ directory, threads }: { directory: string; threads: number }): Promise<void> {
  engine = await EngineThread.start({
    modelDirectory: directory,
    executionProvider: 'cpu',
    intraOpThreads: threads,
    maxBatchSize: BATCH,
    maxModelLen: LENGTH,
  });
}

function loaded(): EngineThread {
  if (engine === undefined) throw new Error('load comes first');
  return engine;
}

/** Tokens per second when all are asked at once. */
async function burst(works: readonly Work[]): Promise<number> {
  return together(loaded(), works);
}

/** Milliseconds until one answer is complete. */
async function lone(work: Work): Promise<number> {
  const start = performance.now();
  await answerOf(loaded(), request(work));
  return performance.now() - start;
}

async function close(): Promise<void> {
  await engine?.close();
}

export type EngineCalls = { load: typeof load; burst: typeof burst; lone: typeof lone; close: typeof close };

const calls: EngineCalls = { load, burst, lone, close };
answer(calls);
