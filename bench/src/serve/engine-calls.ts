import type { Work } from '../contestants/engine-load.ts';
import type { LoneTime } from './lone-caller.ts';

/** What may be asked of a worker's engine past API and queue, see engine-door.ts. */
export interface EngineCalls {
  /** Tokens per second when all are asked at once. */
  burst(works: readonly Work[]): Promise<number>;
  /** What one answer takes until it is complete. */
  lone(work: Work): Promise<LoneTime>;
}

/** Where a process is told the port of its engine's door. */
export const DOOR_PORT = 'ENGINE_DOOR_PORT';

/** The engine behind the door at `port`. */
export function engineAt(port: number): EngineCalls {
  const call = async <T>(name: keyof EngineCalls, argument: unknown): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/${name}`, {
      method: 'POST',
      body: JSON.stringify(argument),
    });
    if (!response.ok) throw new Error(`the engine's door answered with ${response.status}`);
    return (await response.json()) as T;
  };
  return { burst: (works) => call('burst', works), lone: (work) => call('lone', work) };
}
