import { parentPort, workerData } from 'node:worker_threads';
import { asShoalError, Engine } from '../engine.ts';
import { EngineHost } from './engine-host.ts';
import type { ThreadCommand, ThreadData, ThreadReport } from './messages.ts';
import { SharedStats } from './shared-stats.ts';

/** The engine thread's entry: loads the model, then serves commands until it is told to close. */
async function main(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('this file is the entry of a worker thread');
  const post = (report: ThreadReport): void => port.postMessage(report);
  const { options, stats }: ThreadData = workerData;
  try {
    const engine = await Engine.load(options);
    const shared = new SharedStats(stats);
    shared.write(engine.stats());
    const host = new EngineHost(engine, shared, post);
    port.on('message', async (command: ThreadCommand) => {
      await host.handle(command);
      if (command.type === 'close') port.close();
    });
    post({ type: 'ready', model: engine.model, interruptHandle: engine.interruptHandle });
  } catch (cause) {
    post({ type: 'refused', error: asShoalError(cause).toBody() });
  }
}

await main();
