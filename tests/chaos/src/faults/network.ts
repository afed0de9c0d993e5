import { setTimeout as sleep } from 'node:timers/promises';
import type { Link } from '../cluster/link.ts';
import type { Random } from '../random.ts';
import type { MemberFault } from './fault.ts';

/** A harm that lasts for some milliseconds, then heals. */
function lasting(
  name: string,
  weight: number,
  [least, most]: readonly [number, number],
  harm: (link: Link, random: Random) => void | Promise<void>,
): MemberFault {
  return {
    name,
    weight,
    target: 'any',
    async strike(_stage, random, { link }) {
      await harm(link, random);
      await sleep(random.between(least, most));
      await link.heal();
    },
  };
}

/** Faults of the network between one process and Redis; see {@link Link}. */
export const NETWORK_FAULTS: readonly MemberFault[] = [
  lasting('cut-network', 6, [300, 6_000], (link) => link.cut()),
  lasting('stall-network', 5, [1_000, 8_000], (link) => link.stall()),
  lasting('slow-network', 5, [2_000, 8_000], (link, random) => link.delay(random.between(20, 300))),
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
