import { setTimeout as sleep } from 'node:timers/promises';
import type { Member } from '../cluster/member.ts';
import { hangEngine as hangEngineOf } from '../faults/hang-engine.ts';
import type { Arena, Scenario } from './scenario.ts';
import { USUAL } from './scenario.ts';
import { spread } from './statistics.ts';
import { playRound, type RoundResult, Rounds } from './strike-round.ts';

const PAUSE_MS = 20_000;
const STEP_TIMEOUT_MS = 5_000;
/** Lock, stalled check, and the time that a claim takes: the target of detection. */
const DETECTION_MS = 8_000;

/** Strikes at one of the workers in turn; a round in which it held nothing does not count. */
async function strikeWorker(
  arena: Arena,
  index: number,
  options: { pieces: number; strike: (victim: Member) => Promise<void> },
): Promise<RoundResult | undefined> {
  const { workers } = arena.cluster;
  const victim = workers[index % workers.length];
  if (victim === undefined) throw new Error('no worker to strike at');
  const { pieces, strike } = options;
  const result = await playRound(arena, { pieces, strike: () => strike(victim) });
  return result === undefined || result.continued === 0 ? undefined : result;
}

export const killWorker: Scenario = {
  ...USUAL,
  name: 'kill-worker',
  title: 'kill -9 of a worker in mid-stream',
  rounds: 50,
  async play(arena, rounds) {
    const played = await Rounds.play(arena, rounds, (index) =>
      strikeWorker(arena, index, {
        pieces: arena.random.between(5, 120),
        strike: async (victim) => void victim.signal('SIGKILL'),
      }),
    );
    return {
      ...played.counts,
      ...spread('detectionMs', played.all('detections')),
      ...spread('replay', played.all('replays'), 2),
    };
  },
};

export const pauseWorker: Scenario = {
  ...USUAL,
  name: 'pause-worker',
  title: 'SIGSTOP of a worker for 20 s',
  rounds: 10,
  async play(arena, rounds) {
    const played = await Rounds.play(arena, rounds, (index) =>
      strikeWorker(arena, index, {
        pieces: arena.random.between(5, 80),
        strike: async (victim) => {
          victim.signal('SIGSTOP');
          await sleep(PAUSE_MS);
          // Now it believes that it holds what others have finished.
          victim.signal('SIGCONT');
        },
      }),
    );
    return { ...played.counts, ...spread('detectionMs', played.all('detections')) };
  },
};

export const hangEngine: Scenario = {
  ...USUAL,
  env: { ...USUAL.env, STEP_TIMEOUT_MS: String(STEP_TIMEOUT_MS) },
  name: 'hang-engine',
  title: `an engine that hangs in a native call, STEP_TIMEOUT_MS=${STEP_TIMEOUT_MS}`,
  rounds: 5,
  async play(arena, rounds) {
    const played = await Rounds.play(arena, rounds, (index) =>
      strikeWorker(arena, index, {
        pieces: arena.random.between(5, 80),
        strike: (victim) => hangEngineOf(victim, arena.ledger, { stepTimeoutMs: STEP_TIMEOUT_MS }),
      }),
    );
    const detections = played.all('detections');
    const limit = STEP_TIMEOUT_MS + DETECTION_MS;
    for (const ms of detections)
      if (ms > limit) arena.ledger.find(`a stream continued only after ${ms} ms (limit ${limit})`);
    return { ...played.counts, ...spread('detectionMs', detections) };
  },
};

export const drainWorker: Scenario = {
  ...USUAL,
  env: { ...USUAL.env, DRAIN_TIMEOUT_MS: '0' },
  name: 'drain-worker',
  title: 'SIGTERM of a busy worker that has no time to finish',
  rounds: 10,
  async play(arena, rounds) {
    const played = await Rounds.play(arena, rounds, async (index) => {
      const result = await strikeWorker(arena, index, {
        pieces: 5,
        strike: async (victim) => void victim.signal('SIGTERM'),
      });
      for (const { jobId } of result?.entries ?? []) {
        const { attempts, suspected, deaths } = await arena.cluster.probe.misfortunes(jobId ?? '');
        // BullMQ counts the attempt when a job ends, so one is what every job has.
        if (attempts > 1 || suspected + deaths > 0) arena.ledger.find(`job ${jobId} spent an attempt on a drain`);
      }
      return result;
    });
    return { ...played.countsAndPauses, ...spread('claimedAfterMs', played.all('detections')) };
  },
};
