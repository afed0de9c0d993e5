import { describeAsk } from '../load/ask.ts';
import { Client } from '../load/client.ts';
import { askWhole, stream } from '../load/requests.ts';
import { type Arena, type Scenario, USUAL } from './scenario.ts';

const AT_ONCE = 100;

export const sameRequest: Scenario = {
  ...USUAL,
  name: 'same-request',
  title: `${AT_ONCE} identical seeded requests at once are one generation`,
  rounds: 5,
  async play(arena, rounds) {
    const { cluster, ledger, asks, answers, random } = arena;
    const urls = cluster.apis.map(({ url }) => url);
    let [played, equal, generations] = [0, 0, 0];
    for (; played < rounds && !arena.signal.aborted; played++) {
      // A sampled one, which has not been asked like that before.
      const ask = asks[2 * played + 1];
      if (ask === undefined) break;
      const before = await sequencesBegun(arena);
      const terms = { kind: 'identical', expected: answers[ask.index], allowed: [] };
      const entries = await Promise.all(
        Array.from({ length: AT_ONCE }, async (_, index) => {
          const entry = ledger.open(describeAsk(ask), terms);
          const client = new Client(urls, random.fork());
          await (index % 2 === 0
            ? stream(entry, ask, client, { fresh: false })
            : askWhole(entry, ask, client, { fresh: false }));
          return entry;
        }),
      );
      const begun = (await sequencesBegun(arena)) - before;
      generations += begun;
      if (begun !== 1) ledger.find(`${AT_ONCE} identical requests were ${begun} generations`);
      equal += entries.filter(
        ({ outcome, violations }) => outcome?.kind === 'completed' && violations.length === 0,
      ).length;
      arena.told(`round ${played + 1}/${rounds}: ${equal} equal answers, ${generations} generations so far`);
    }
    return { rounds: played, requests: played * AT_ONCE, equal, generations };
  },
};

/** Requests that left the engines of all workers, as they count them. */
async function sequencesBegun({ cluster }: Arena): Promise<number> {
  const counts = cluster.workers.map(async ({ url }) => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith('shoal_sequences_total{'));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1) ?? 0), 0);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}
