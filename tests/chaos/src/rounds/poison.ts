import { POISON } from '../cluster/cluster.ts';
import { type Ask, describeAsk } from '../load/ask.ts';
import { Client } from '../load/client.ts';
import { followJob } from '../load/follow-job.ts';
import { submitJob } from '../load/requests.ts';
import { type Scenario, USUAL } from './scenario.ts';

const GOOD = 63;

/** Kills the worker whose engine computes it, by the preload. */
const POISONED: Ask = {
  index: -1,
  endpoint: '/v1/completions',
  body: { model: 'minnow', prompt: `A story about ${POISON}`, max_tokens: 20, temperature: 0 },
  choices: 1,
};

export const poison: Scenario = {
  ...USUAL,
  name: 'poison',
  title: `one prompt that kills its worker, among ${GOOD} good ones`,
  rounds: 3,
  async play(arena, rounds) {
    const { cluster, ledger, asks, answers, random } = arena;
    const urls = cluster.apis.map(({ url }) => url);
    const startsBefore = cluster.workers.reduce((sum, { starts }) => sum + starts, 0);
    let [played, good, lost] = [0, 0, 0];
    for (; played < rounds && !arena.signal.aborted; played++) {
      const line = asks
        .slice(0, GOOD)
        .map((ask) => ({ ask, terms: { kind: 'good', expected: answers[ask.index], allowed: [] as string[] } }));
      line.splice(random.between(0, GOOD), 0, {
        ask: POISONED,
        terms: { kind: 'poison', expected: undefined, allowed: ['worker_lost'] },
      });
      const entries = await Promise.all(
        line.map(async ({ ask, terms }) => {
          const entry = ledger.open(describeAsk(ask), terms);
          const client = new Client(urls, random.fork());
          if (await submitJob(entry, ask, client)) await followJob(entry, client);
          return entry;
        }),
      );
      good += entries.filter(
        ({ outcome, violations }) => outcome?.kind === 'completed' && violations.length === 0,
      ).length;
      lost += entries.filter(({ outcome }) => outcome?.kind === 'failed' && outcome.code === 'worker_lost').length;
      arena.told(`round ${played + 1}/${rounds}: ${good} answers and ${lost} worker_lost so far`);
      await cluster.heal();
    }
    const deaths = cluster.workers.reduce((sum, { starts }) => sum + starts, 0) - startsBefore;
    return { rounds: played, answers: good, workerLost: lost, workersKilled: deaths };
  },
};
