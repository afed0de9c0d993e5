import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks per second of `/proc`: fixed at 100 on Linux. */
const TICK_MS = 10;

/** What processes have spent, as the kernel counts it. */
export interface Spending {
  /** Processor time of all threads, and of children that have ended. */
  readonly cpuMs: number;
  /** Sum of the processes' own highest resident sizes; pages that they share count for each. */
  readonly peakBytes: number;
}

/** Of these processes and of all that they started, as far as they live. */
export function spendingOf(roots: readonly number[]): Spending {
  let [cpuMs, peakBytes] = [0, 0];
  for (const pid of treeOf(roots)) {
    const fields = statOf(pid);
    if (fields === undefined) continue;
    // Behind the command's name: utime, stime, cutime, cstime are fields 14 to 17 of proc(5), state is field 3.
    cpuMs += fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0);
    peakBytes += peakOf(pid);
  }
  return { cpuMs, peakBytes };
}

/** These processes and all below them. */
export function treeOf(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statOf(Number(name))?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const all = [...roots];
  for (const pid of all) all.push(...(children.get(pid) ?? []));
  return [...new Set(all)];
}

/** Fields of `/proc/PID/stat` behind the command's name, which may hold anything; undefined once it has ended. */
function statOf(pid: number): string[] | undefined {
  return read(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ');
}

function peakOf(pid: number): number {
  const kb = /^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return Number(kb ?? 0) * 1024;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
