import { setTimeout as sleep } from 'node:timers/promises';
import type { MemberFault } from './fault.ts';
import { hangEngine } from './hang-engine.ts';

function killed(target: 'worker' | 'api', weight: number): MemberFault {
  return {
    name: `kill-${target}`,
    weight,
    target,
    async strike(_stage, _random, member) {
      member.signal('SIGKILL');
      await member.exited();
      await member.ready();
    },
  };
}

function told(target: 'worker' | 'api', weight: number): MemberFault {
  return {
    name: `stop-${target}`,
    weight,
    target,
    async strike(_stage, _random, member) {
      member.signal('SIGTERM');
      await member.exited();
      await member.ready();
    },
  };
}

/** Longer than the lock: its jobs go to others, and it comes back believing that they are its own. */
function frozen(target: 'worker' | 'api', weight: number): MemberFault {
  return {
    name: `freeze-${target}`,
    weight,
    target,
    async strike({ lockMs }, random, member) {
      member.signal('SIGSTOP');
      await sleep(lockMs + random.between(500, 6_000));
      member.signal('SIGCONT');
      await member.ready();
    },
  };
}

const hung: MemberFault = {
  name: 'hang-engine',
  weight: 3,
  target: 'worker',
  async strike({ ledger, stepTimeoutMs }, _random, member) {
    // While it loads its model, nothing watches its steps yet.
    await member.ready();
    await hangEngine(member, ledger, { stepTimeoutMs });
    await member.ready();
  },
};

/** Somebody sets the clock of the machine, by seconds or by hours, forwards or back. */
const skewed: MemberFault = {
  name: 'jump-clock',
  weight: 4,
  target: 'worker',
  async strike(_stage, random, member) {
    const offset = random.pick([-1, 1]) * random.pick([3_000, 60_000, 3_600_000]);
    member.control('clock', String(offset));
    await sleep(random.between(2_000, 8_000));
    member.control('clock', undefined);
  },
};

export const PROCESS_FAULTS: readonly MemberFault[] = [
  killed('worker', 12),
  told('worker', 8),
  frozen('worker', 8),
  hung,
  skewed,
  killed('api', 6),
  told('api', 4),
  frozen('api', 4),
];
