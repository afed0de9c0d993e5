import { benchModel } from '../bench-model.ts';
import { LlamaCpp } from '../contestants/llama.ts';
import type { ServeContestant } from './contestant.ts';
import { nodePeer } from './node-peer.ts';
import { startPlainQueue } from './plain-queue.ts';
import { PYTHON_PEERS } from './python-peer.ts';
import { startShoal } from './shoal.ts';

/** The article's batch. */
const ARTICLE_BATCH = 8;
const ARTICLE_TIMEOUT_MS = 50;

/** What a user would do; `ee` is `e` again: how far it is from `e` is what a ratio can be off. */
export const CONTESTANTS: readonly ServeContestant[] = [
  {
    key: 'a',
    name: 'one prompt at a time (BullMQ Worker)',
    precision: 'fp32',
    family: 'queue',
    start: (options) => startPlainQueue(options, { batch: 1 }),
  },
  {
    key: 'b',
    name: `fixed batch of ${ARTICLE_BATCH}, no timeout (the article)`,
    precision: 'fp32',
    family: 'queue',
    start: (options) => startPlainQueue(options, { batch: ARTICLE_BATCH }),
  },
  {
    key: 'bt',
    name: `fixed batch of ${ARTICLE_BATCH}, timeout ${ARTICLE_TIMEOUT_MS} ms`,
    precision: 'fp32',
    family: 'queue',
    start: (options) => startPlainQueue(options, { batch: ARTICLE_BATCH, timeoutMs: ARTICLE_TIMEOUT_MS }),
  },
  {
    key: 'c',
    name: 'BullMQ collector, static batches',
    precision: 'fp32',
    family: 'queue',
    start: (options) => startShoal(options, 'collector'),
  },
  {
    key: 'd',
    name: 'Shoal, static',
    precision: 'fp32',
    family: 'shoal',
    start: (options) => startShoal(options, 'static'),
  },
  {
    key: 'e',
    name: 'Shoal, continuous',
    precision: 'fp32',
    family: 'shoal',
    start: (options) => startShoal(options, 'continuous'),
  },
  {
    key: 'ee',
    name: 'Shoal, continuous (again: A/A)',
    precision: 'fp32',
    family: 'shoal',
    start: (options) => startShoal(options, 'continuous'),
  },
  {
    key: 'e-q4',
    name: 'Shoal, continuous, 4-bit',
    precision: 'q4',
    family: 'shoal',
    optional: true,
    absent: ({ bench }) => (bench === undefined ? 'the model has no 4-bit file' : undefined),
    start: (options) => {
      const shape = options.model.name.startsWith('tiny') ? 'tiny' : '135m';
      const { directory, name } = benchModel(shape, 'q4');
      return startShoal({ ...options, model: { ...options.model, directory, name } }, 'continuous', { dtype: 'q4' });
    },
  },
  nodePeer({
    key: 'f-transformers',
    name: '@huggingface/transformers behind fastify',
    script: 'transformers-server.js',
  }),
  nodePeer({
    key: 'f-llama',
    name: 'node-llama-cpp behind fastify, f32',
    script: 'llama-server.js',
    env: { GGUF_DTYPE: 'f32' },
    absent: llamaAbsent,
  }),
  nodePeer({
    key: 'f-llama-q4',
    name: 'node-llama-cpp behind fastify, q4_0',
    script: 'llama-server.js',
    env: { GGUF_DTYPE: 'q4_0' },
    precision: 'q4',
    absent: llamaAbsent,
  }),
  ...PYTHON_PEERS,
];

function llamaAbsent(): string | undefined {
  return LlamaCpp.version() === undefined ? 'not installed: cd bench/peers && npm install --ignore-scripts' : undefined;
}
