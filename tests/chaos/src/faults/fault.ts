import type { ChaosCluster } from '../cluster/cluster.ts';
import type { Member } from '../cluster/member.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { MixedLoad } from '../load/mixed-load.ts';
import type { Random } from '../random.ts';

/** What a fault may lay its hands on. */
export interface Stage {
  readonly cluster: ChaosCluster;
  readonly ledger: Ledger;
  readonly load: MixedLoad;
  /** The cluster's LOCK_DURATION_MS and STEP_TIMEOUT_MS. */
  readonly lockMs: number;
  readonly stepTimeoutMs: number;
}

interface Named {
  readonly name: string;
  /** How often it is chosen, in relation to the others. */
  readonly weight: number;
}

/** Harm done to one process; it is over when `strike` resolves, and until then nobody else harms that process. */
export interface MemberFault extends Named {
  readonly target: 'worker' | 'api' | 'any';
  strike(stage: Stage, random: Random, member: Member): Promise<void>;
}

/** Harm done to Redis, or through the queue: one of a kind of target at a time. */
export interface SharedFault extends Named {
  readonly target: 'redis' | 'queue';
  strike(stage: Stage, random: Random): Promise<void>;
}

export type Fault = MemberFault | SharedFault;
