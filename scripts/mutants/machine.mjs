import { availableParallelism, cpus } from 'node:os';

/** On what something was measured, for files of results. */
export function machineOf() {
  return {
    node: process.version,
    machine: `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores`,
  };
}
