import { setTimeout as sleep } from 'node:timers/promises';
import { type Scenario, USUAL } from './scenario.ts';
import { playRound, Rounds } from './strike-round.ts';

const FROZEN_MS = 7_000;
const FULL_MS = 3_000;
/** Of the requests below, a third runs at once. */
const FEW_SLOTS = 8;

export const freezeRedis: Scenario = {
  ...USUAL,
  name: 'freeze-redis',
  title: 'Redis frozen for 7 s',
  rounds: 10,
  async play(arena, rounds) {
    const { redis } = arena.cluster;
    const played = await Rounds.play(arena, rounds, async () => {
      const result = await playRound(arena, {
        pieces: arena.random.between(5, 60),
        strike: async () => {
          if (redis.pid === undefined) throw new Error('Redis does not run');
          process.kill(redis.pid, 'SIGSTOP');
          await sleep(FROZEN_MS);
          process.kill(redis.pid, 'SIGCONT');
        },
      });
      if (result !== undefined && result.continued > 0) arena.ledger.find(`${result.continued} jobs ran twice`);
      return result;
    });
    return played.countsAndPauses;
  },
};

export const restartRedis: Scenario = {
  ...USUAL,
  env: { ...USUAL.env, MAX_BATCH_SIZE: String(FEW_SLOTS) },
  name: 'restart-redis',
  title: 'SIGKILL of Redis and a restart from its append-only file',
  rounds: 10,
  async play(arena, rounds) {
    const { cluster, random } = arena;
    const met = { waiting: 0, running: 0 };
    const played = await Rounds.play(arena, rounds, async () => {
      let look = { waiting: 0, active: 0 };
      const result = await playRound(arena, {
        count: 48,
        pieces: 0,
        delayMs: random.between(500, 3_000),
        strike: async () => {
          look = await cluster.probe.look();
          await cluster.crashRedis(random.between(0, 1_500));
        },
      });
      // What this is about is both: requests that wait, and requests that run.
      if (look.waiting === 0 || look.active === 0) return undefined;
      met.waiting += look.waiting;
      met.running += look.active;
      return result;
    });
    return { ...played.countsAndPauses, waitingAtKill: met.waiting, runningAtKill: met.running };
  },
};

export const fullRedis: Scenario = {
  ...USUAL,
  name: 'full-redis',
  title: 'a Redis that refuses writes for 3 s, because it is full',
  rounds: 5,
  async play(arena, rounds) {
    const { probe } = arena.cluster;
    const played = await Rounds.play(arena, rounds, () =>
      playRound(arena, {
        pieces: arena.random.between(5, 60),
        strike: async () => {
          await probe.redis.config('SET', 'maxmemory', '1mb');
          await sleep(FULL_MS);
          await probe.redis.config('SET', 'maxmemory', '0');
        },
      }),
    );
    return played.countsAndPauses;
  },
};
