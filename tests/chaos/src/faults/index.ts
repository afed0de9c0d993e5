import { BAD_JOBS } from './bad-jobs.ts';
import type { Fault } from './fault.ts';
import { NETWORK_FAULTS } from './network.ts';
import { PROCESS_FAULTS } from './processes.ts';
import { REDIS_FAULTS } from './redis.ts';

export const FAULT_FAMILIES: Readonly<Record<string, readonly Fault[]>> = {
  processes: PROCESS_FAULTS,
  network: NETWORK_FAULTS,
  redis: REDIS_FAULTS,
  'bad jobs': BAD_JOBS,
};

export const FAULTS: readonly Fault[] = Object.values(FAULT_FAMILIES).flat();
