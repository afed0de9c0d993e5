import { createServer } from 'node:http';
import type { GenerationEngine } from '@shoal/engine';
import type { ModelRuns } from './contestant.ts';

/** Tells on PORT how many decode steps there were, and with how many sequences. */
export function serveRuns(engine: GenerationEngine): void {
  const counted = { runs: 0, sequences: 0 } satisfies ModelRuns;
  engine.observe((fact) => {
    if (fact.type !== 'step' || fact.phase !== 'decode') return;
    counted.runs += 1;
    counted.sequences += fact.batchSize;
  });
  createServer((_, response) => response.end(JSON.stringify(counted))).listen(Number(process.env.PORT), '127.0.0.1');
}
