import type { Work } from '../contestants/engine-load.ts';
import { LlamaCpp, type LlamaSequence } from '../contestants/llama.ts';
import type { GgufDtype } from '../gguf.ts';
import { BATCH, LENGTH } from './contestant.ts';
import { servePeer } from './peer-server.ts';
import { benchModelAt } from './served-model.ts';

// node-llama-cpp behind fastify: it batches the sequences of one context by itself; more requests wait for a free one.

const { MODEL = '', GGUF_DTYPE = '', INTRA_OP_THREADS = '' } = process.env;
const llama = await LlamaCpp.load(benchModelAt(MODEL), GGUF_DTYPE as GgufDtype, {
  threads: Number(INTRA_OP_THREADS),
  sequences: BATCH,
  length: LENGTH,
});
const free = [...llama.sequences];
const queue: ((sequence: LlamaSequence) => void)[] = [];
const counted = { runs: 0, sequences: 0 };
let running = 0;

async function* stream(work: Work): AsyncGenerator<number> {
  const sequence = free.pop() ?? (await new Promise<LlamaSequence>((resolve) => queue.push(resolve)));
  running += 1;
  try {
    for await (const token of llama.generate(sequence, work)) {
      // Each of those that run gets its token in a pass with the others: passes are tokens ÷ company.
      counted.runs += 1 / running;
      counted.sequences += 1;
      yield token;
    }
  } finally {
    running -= 1;
    const next = queue.shift();
    if (next === undefined) free.push(sequence);
    else next(sequence);
  }
}

await servePeer({ counted, stream });
