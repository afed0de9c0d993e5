import { createServer } from 'node:http';
import { isMainThread } from 'node:worker_threads';
import { EngineThread, type GenerationEngine } from '@shoal/engine';
import { answer, request, together, type Work } from '../contestants/engine-load.ts';
import { DOOR_PORT, type EngineCalls } from './engine-calls.ts';

// A second way to the engine of a worker, past API and queue: from the thread that claims to the same engine in the same
// memory. Two engines in two processes differ by several per cent from one start to the next, by where their weights lie.

/** Opens the door of an engine that this process has, at the port in its environment. */
export function openDoor(engine: GenerationEngine): void {
  const calls: EngineCalls = {
    burst: (works) => together(engine, works),
    async lone(work) {
      const start = performance.now();
      let firstAt = Number.NaN;
      const { startedAt, finishedAt } = await answer(engine, request(work), undefined, (at) => {
        if (Number.isNaN(firstAt)) firstAt = at;
      });
      return { ms: performance.now() - start, firstMs: firstAt - start, engineMs: finishedAt - startedAt };
    },
  };
  const server = createServer(async (asked, response) => {
    let body = '';
    for await (const text of asked.setEncoding('utf8')) body += text;
    const works = JSON.parse(body) as Work & Work[];
    const figure = await (asked.url === '/burst' ? calls.burst(works) : calls.lone(works));
    response.end(JSON.stringify(figure));
  });
  server.listen(Number(process.env[DOOR_PORT]), '127.0.0.1');
}

// Imported ahead of a worker's main file, which knows nothing of it, this opens the door of the engine that it starts.
if (isMainThread && process.execArgv.includes(import.meta.filename)) {
  const start = EngineThread.start.bind(EngineThread);
  EngineThread.start = async (...options) => {
    const engine = await start(...options);
    openDoor(engine);
    return engine;
  };
}
