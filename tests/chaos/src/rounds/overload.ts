import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeAsk } from '../load/ask.ts';
import { Client } from '../load/client.ts';
import { answerOf, failureOf, lookAt } from '../load/follow-job.ts';
import { askWhole } from '../load/requests.ts';
import { Job } from '../load/wire.ts';
import type { Arena, Scenario } from './scenario.ts';

const SECONDS = 60;
const TIMES_CAPACITY = 10;
const MAX_QUEUE_SIZE = 200;
const CAPACITY_SECONDS = 10;
const MEMORY_SLACK = 48 * 2 ** 20;
const LOOK_LIMIT_MS = 60_000;

export const overload: Scenario = {
  name: 'overload',
  title: `${TIMES_CAPACITY} × capacity for ${SECONDS} s with MAX_QUEUE_SIZE=${MAX_QUEUE_SIZE}`,
  rounds: 1,
  workers: 2,
  env: { MAX_BATCH_SIZE: '4', MAX_QUEUE_SIZE: String(MAX_QUEUE_SIZE) },
  stepDelayMs: 15,
  tokens: [40, 80],
  async play(arena, rounds) {
    const offered = {
      capacity: 0,
      offered: 0,
      accepted: 0,
      refused: 0,
      completed: 0,
      largestQueue: 0,
      apiMemoryGrowthMiB: 0,
    };
    for (let round = 0; round < rounds && !arena.signal.aborted; round++) {
      offered.capacity = Math.round((await capacity(arena)) * 10) / 10;
      const seen = watchBounds(arena);
      const accepted = await offer(arena, TIMES_CAPACITY * offered.capacity, offered);
      arena.told(
        `offered ${offered.offered}, accepted ${offered.accepted}, refused ${offered.refused}; reading the answers`,
      );
      offered.completed = await collect(arena, accepted);
      const { largestQueue, growth } = seen.stop();
      offered.largestQueue = Math.max(offered.largestQueue, largestQueue);
      offered.apiMemoryGrowthMiB = Math.round(growth / 2 ** 20);
      if (largestQueue > MAX_QUEUE_SIZE)
        arena.ledger.find(`${largestQueue} jobs waited, with a bound of ${MAX_QUEUE_SIZE}`);
      if (growth > MEMORY_SLACK) arena.ledger.find(`an API grew by ${offered.apiMemoryGrowthMiB} MiB under overload`);
    }
    return { seconds: SECONDS, ...offered };
  },
};

/** Requests per second with every slot taken and few waiting. */
async function capacity({ cluster, ledger, asks, answers, random, signal }: Arena): Promise<number> {
  const urls = cluster.apis.map(({ url }) => url);
  const until = Date.now() + CAPACITY_SECONDS * 1000;
  let done = 0;
  const client = async (): Promise<void> => {
    while (Date.now() < until && !signal.aborted) {
      const ask = random.pick(asks);
      const entry = ledger.open(describeAsk(ask), { kind: 'at capacity', expected: answers[ask.index], allowed: [] });
      await askWhole(entry, ask, new Client(urls, random));
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: 16 }, client));
  return done / CAPACITY_SECONDS;
}

type Accepted = (() => Promise<boolean>)[];

/** Poisson arrivals that wait for nobody; returns a look at each accepted one. */
async function offer(
  { cluster, ledger, asks, answers, random, signal }: Arena,
  perSecond: number,
  count: { offered: number; accepted: number; refused: number },
): Promise<Accepted> {
  const urls = cluster.apis.map(({ url }) => url);
  const accepted: Accepted = [];
  const arrivals: Promise<void>[] = [];
  const submit = async (): Promise<void> => {
    const ask = random.pick(asks);
    const client = new Client(urls, random);
    const sentAt = Date.now();
    const response = await fetch(`${client.url}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
      body: JSON.stringify({ ...ask.body, endpoint: ask.endpoint }),
    });
    const body: unknown = await response.json();
    if (response.status === 429) {
      count.refused += 1;
      if (!(Number(response.headers.get('retry-after')) > 0)) ledger.find('429 without retry-after');
      return;
    }
    const entry = ledger.open(describeAsk(ask), { kind: 'accepted', expected: answers[ask.index], allowed: [] });
    if (response.status !== 202) {
      entry.violate(`answered with ${response.status} under overload`);
      return;
    }
    count.accepted += 1;
    entry.accepted('202', Job.parse(body).id, sentAt);
    accepted.push(async () => {
      const job = await lookAt(entry, client, { limitMs: LOOK_LIMIT_MS });
      if (job?.result !== undefined) entry.end({ kind: 'completed', ...answerOf(job.result) });
      else if (job?.error !== undefined) entry.end(failureOf(job.error));
      return !entry.open;
    });
  };
  const begin = performance.now();
  for (let due = 0; due < SECONDS * 1000 && !signal.aborted; due += random.exponential(1000 / perSecond)) {
    const early = begin + due - performance.now();
    if (early > 1) await sleep(early);
    count.offered += 1;
    arrivals.push(
      submit().catch((error: unknown) => ledger.find(`a submission failed under overload: ${String(error)}`)),
    );
  }
  await Promise.all(arrivals);
  return accepted;
}

/** Waits for all accepted ones; returns how many have their answer, those of earlier rounds included. */
async function collect({ ledger }: Arena, accepted: Accepted): Promise<number> {
  for (const look of accepted) {
    const until = Date.now() + 120_000;
    while (!(await look())) {
      if (Date.now() > until) break;
      await sleep(100);
    }
  }
  ledger.closeBooks();
  return ledger.entries.filter(({ terms, outcome }) => terms.kind === 'accepted' && outcome?.kind === 'completed')
    .length;
}

function watchBounds({ cluster }: Arena): { stop(): { largestQueue: number; growth: number } } {
  let largestQueue = 0;
  const memory = new Map<string, number[]>();
  const look = async (): Promise<void> => {
    largestQueue = Math.max(largestQueue, (await cluster.probe.look()).waiting);
  };
  const queueTimer = setInterval(() => void look(), 50);
  const memoryTimer = setInterval(() => {
    for (const { name, pid } of cluster.apis) {
      const resident = residentBytes(pid);
      if (resident !== undefined) memory.set(name, [...(memory.get(name) ?? []), resident]);
    }
  }, 1_000);
  return {
    stop: () => {
      clearInterval(queueTimer);
      clearInterval(memoryTimer);
      // The heap grows to its working size first: the first third against the last.
      const growths = [...memory.values()].map((values) => {
        const third = Math.max(1, Math.floor(values.length / 3));
        return mean(values.slice(-third)) - mean(values.slice(0, third));
      });
      return { largestQueue, growth: Math.max(0, ...growths) };
    },
  };
}

function residentBytes(pid: number | undefined): number | undefined {
  try {
    return 1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
