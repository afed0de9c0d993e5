import { Redis } from 'ioredis';

let commands = 0;
const send = Redis.prototype.sendCommand;
// Every client of this process is counted, also those that BullMQ makes for itself.
Redis.prototype.sendCommand = function (...args: Parameters<typeof send>): ReturnType<typeof send> {
  commands += 1;
  return send.apply(this, args);
};

/** What a process spent between two looks. */
export interface Spent {
  ms: number;
  cpuMicros: number;
  /** Commands sent to Redis; what scripts call there is not among them. */
  commands: number;
}

/** Begins to count; the function returned tells what was spent since. */
export function meter(): () => Spent {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const before = commands;
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { ms: performance.now() - startedAt, cpuMicros: user + system, commands: commands - before };
  };
}
