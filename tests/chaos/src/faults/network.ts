import { setTimeout as sleep } from 'node:timers/promises';
import type { MemberFault } from './fault.ts';

/** Faults of the network between one process and Redis; see {@link Link}. */
export const NETWORK_FAULTS: readonly MemberFault[] = [
  {
    name: 'cut-network',
    weight: 6,
    target: 'any',
    async strike(_stage, random, { link }) {
      await link.cut();
      await sleep(random.between(300, 6_000));
      await link.heal();
    },
  },
  {
    name: 'stall-network',
    weight: 5,
    target: 'any',
    async strike(_stage, random, { link }) {
      link.stall();
      await sleep(random.between(1_000, 8_000));
      await link.heal();
    },
  },
  {
    name: 'slow-network',
    weight: 5,
    target: 'any',
    async strike(_stage, random, { link }) {
      link.delay(random.between(20, 300));
      await sleep(random.between(2_000, 8_000));
      await link.heal();
    },
  },
  {
    name: 'drop-sockets',
    weight: 6,
    target: 'any',
    async strike(_stage, random, { link }) {
      for (let i = random.between(1, 5); i > 0; i--) {
        link.drop();
        await sleep(random.between(10, 300));
      }
    },
  },
];
