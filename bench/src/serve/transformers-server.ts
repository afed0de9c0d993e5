import type { Work } from '../contestants/engine-load.ts';
import { Transformers } from '../contestants/transformers.ts';
import { BATCH } from './contestant.ts';
import { servePeer } from './peer-server.ts';
import { benchModelAt } from './served-model.ts';

// @huggingface/transformers behind fastify in its best correct form: what waits and has the oldest's length is a batch.

interface Waiting {
  work: Work;
  resolve(tokenIds: number[]): void;
  reject(error: unknown): void;
}

const { MODEL = '', INTRA_OP_THREADS = '' } = process.env;
const transformers = await Transformers.load(benchModelAt(MODEL), Number(INTRA_OP_THREADS));
const counted = { runs: 0, sequences: 0 };
let waiting: Waiting[] = [];
let running = false;

async function run(): Promise<void> {
  if (running) return;
  running = true;
  for (let oldest = waiting[0]; oldest !== undefined; oldest = waiting[0]) {
    const length = oldest.work.prompt.length;
    const group = waiting.filter(({ work }) => work.prompt.length === length).slice(0, BATCH);
    waiting = waiting.filter((one) => !group.includes(one));
    const steps = Math.max(...group.map(({ work }) => work.maxTokens));
    counted.runs += steps;
    counted.sequences += steps * group.length;
    try {
      const answers = await transformers.answers(group.map(({ work }) => work));
      for (const [i, { resolve }] of group.entries()) resolve(answers[i] ?? []);
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }
  running = false;
}

await servePeer({
  counted,
  whole: (work) =>
    new Promise((resolve, reject) => {
      waiting.push({ work, resolve, reject });
      // Requests that came together are seen together.
      setImmediate(() => void run());
    }),
});
