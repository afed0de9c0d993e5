import { setTimeout as sleep } from 'node:timers/promises';
import { POISON } from '../cluster/cluster.ts';
import type { Entry } from '../ledger/entry.ts';
import { judgeDeadline } from '../ledger/lateness.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Terms } from '../ledger/outcome.ts';
import type { Random } from '../random.ts';
import { within } from '../within.ts';
import { type Ask, describeAsk } from './ask.ts';
import { Client } from './client.ts';
import { followJob } from './follow-job.ts';
import type { Answer } from './reference.ts';
import { askWhole, cancelJob, leaveStream, type Manner, stream, submitJob } from './requests.ts';

/** Most that a slow reader pauses in all, in milliseconds: well below the time a result is kept. */
const LONGEST_DAWDLE_MS = 30_000;

/**
 * While things are being broken, nobody is to blame for not being there. Who has not been served when all is whole again
 * shows when the books are closed.
 */
const TIRELESS = { patienceMs: Number.POSITIVE_INFINITY };

export interface LoadOptions {
  ledger: Ledger;
  apis: readonly string[];
  asks: readonly Ask[];
  answers: readonly Answer[];
  random: Random;
  /** Clients that ask at the same time, each one request after the other. */
  clients: number;
  /** Mean pause of a client between two requests, in milliseconds. */
  pauseMs: number;
}

interface Turn {
  ask: Ask;
  /** An ask that others have, too. */
  hot: Ask;
  client: Client;
  random: Random;
  manner: Manner;
  open: (kind: string, ask: Ask, terms?: Partial<Terms>) => Entry;
}

type Play = (turn: Turn) => Promise<void>;

const SHARED = { shared: true };

/** What clients do, and how often in relation to each other. */
const REPERTOIRE: readonly (readonly [weight: number, play: Play])[] = [
  [26, ({ open, ask, client, manner }) => stream(open('stream', ask), ask, client, manner)],
  [22, playJob],
  [10, ({ open, ask, client, manner }) => askWhole(open('whole', ask), ask, client, manner)],
  [6, ({ open, hot, client, manner }) => stream(open('repeat', hot, SHARED), hot, client, { ...manner, fresh: false })],
  [
    6,
    ({ open, hot, client, manner }) => askWhole(open('repeat', hot, SHARED), hot, client, { ...manner, fresh: false }),
  ],
  [8, playCancel],
  [6, playLeave],
  [6, playDeadline],
  [5, playSlowReader],
];

/** Some readers of jobs leave in the middle, and go on elsewhere. */
async function playJob({ open, ask, client, manner, random }: Turn): Promise<void> {
  const entry = open('job', ask);
  const options = random.chance(0.3) ? { leaveAfter: random.between(1, 40) } : {};
  if (await submitJob(entry, ask, client, manner)) await followJob(entry, client, options);
}

function playCancel({ open, ask, client, manner, random }: Turn): Promise<void> {
  return cancelJob(open('cancel', ask, { allowed: ['cancelled'] }), ask, client, random.between(1, 60), manner);
}

function playLeave({ open, ask, client, manner, random }: Turn): Promise<void> {
  return leaveStream(open('leave', ask, { allowed: ['cancelled'] }), ask, client, random.between(1, 40), manner);
}

async function playDeadline({ open, ask, client, manner, random }: Turn): Promise<void> {
  const timeoutMs = random.between(200, 4_000);
  const entry = open('deadline', ask, { allowed: ['deadline_exceeded'], timeoutMs });
  if (await submitJob(entry, ask, client, { ...manner, timeoutMs })) await followJob(entry, client);
  judgeDeadline(entry);
}

/**
 * Dawdles for {@link LONGEST_DAWDLE_MS} at most: what its API had sent before it died is read to the end before the
 * reader notices, and it must come back for the rest while the result is still kept (RESULT_TTL_S).
 */
function playSlowReader({ open, ask, client, manner, random }: Turn): Promise<void> {
  const every = random.between(5, 25);
  let left = LONGEST_DAWDLE_MS;
  const onText = (pieces: number): Promise<void> | undefined => {
    if (pieces % every !== 0 || left <= 0) return undefined;
    const pauseMs = Math.min(left, random.between(200, 2_000));
    left -= pauseMs;
    return sleep(pauseMs);
  };
  return stream(open('slow reader', ask), ask, client, { ...manner, onText });
}

/** Clients that ask all kinds of things in all manners, until told to stop. */
export class MixedLoad {
  readonly #options: LoadOptions;
  readonly #clients: Promise<void>[] = [];
  /** Few asks that many clients repeat, so that answers are shared. */
  readonly #hot: readonly Ask[];
  #running = true;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#hot = options.asks.slice(0, 4);
    for (let i = 0; i < options.clients; i++) this.#clients.push(this.#behave(options.random.fork()));
  }

  /** No new requests; resolves when every client has its answer, or after `limitMs`. */
  async stop(limitMs: number): Promise<void> {
    this.#running = false;
    await within(limitMs, Promise.all(this.#clients));
  }

  /** One prompt that kills its worker; resolves when it was given up. */
  async poison(random: Random): Promise<void> {
    const { ledger, apis } = this.#options;
    const ask: Ask = {
      index: -1,
      endpoint: '/v1/completions',
      body: { model: 'minnow', prompt: `A story about ${POISON}`, max_tokens: 20, temperature: 0 },
      choices: 1,
    };
    const entry = ledger.open('a poison prompt', { kind: 'poison', expected: undefined, allowed: ['worker_lost'] });
    const client = new Client(apis, random, TIRELESS);
    if (await submitJob(entry, ask, client)) await followJob(entry, client);
  }

  async #behave(random: Random): Promise<void> {
    const { pauseMs } = this.#options;
    const total = REPERTOIRE.reduce((sum, [weight]) => sum + weight, 0);
    while (this.#running) {
      await choosePlay(random.next() * total)(this.#turn(random));
      await sleep(random.exponential(pauseMs));
    }
  }

  #turn(random: Random): Turn {
    const { ledger, apis, asks, answers } = this.#options;
    return {
      ask: random.pick(asks),
      hot: random.pick(this.#hot),
      client: new Client(apis, random, TIRELESS),
      random,
      manner: random.chance(0.5) ? { priority: random.between(0, 9) } : {},
      open: (kind, ask, terms) =>
        ledger.open(describeAsk(ask), { kind, expected: answers[ask.index], allowed: [], ...terms }),
    };
  }
}

function choosePlay(at: number): Play {
  let sum = 0;
  for (const [weight, play] of REPERTOIRE) {
    sum += weight;
    if (at < sum) return play;
  }
  return playJob;
}
