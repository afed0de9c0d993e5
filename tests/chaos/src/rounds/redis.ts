import { setTimeout as sleep } from 'node:timers/promises';
import { type Scenario, USUAL } from './scenario.ts';
import { playRound, Rounds } from './strike-round.ts';

const FROZEN_MS = 7_000;
const FULL_MS = 3_000;

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
  name: 'restart-redis',
  title: 'SIGKILL of Redis and a restart from its append-only file',
  rounds: 10,
  async play(arena, rounds) {
    const { redis } = arena.cluster;
    const played = await Rounds.play(arena, rounds, () =>
      playRound(arena, {
        // More than can run at once: some wait, some run.
        count: 48,
        pieces: 0,
        strike: async () => {
          await sleep(arena.random.between(500, 3_000));
          await redis.kill();
          await sleep(arena.random.between(0, 1_500));
          await redis.restart();
        },
      }),
    );
    return played.countsAndPauses;
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
