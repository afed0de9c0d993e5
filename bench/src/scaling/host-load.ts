import { cpus } from 'node:os';

/** Begins to look; the function returned tells how many of the machine's cores were busy since, with whatever. */
export function hostLoad(): () => number {
  const before = total();
  return () => {
    const now = total();
    return (cpus().length * (now.busy - before.busy)) / Math.max(1, now.all - before.all);
  };
}

function total(): { busy: number; all: number } {
  let [busy, all] = [0, 0];
  for (const { times } of cpus()) {
    const sum = times.user + times.nice + times.sys + times.irq + times.idle;
    busy += sum - times.idle;
    all += sum;
  }
  return { busy, all };
}
