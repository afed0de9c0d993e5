import { join } from 'node:path';
import { runsAt, type ServeContestant } from './contestant.ts';
import { ServerProcess } from './server-process.ts';

/** The first load of a format converts the weights. */
const READY_MS = 180_000;

interface NodePeer {
  readonly key: string;
  readonly name: string;
  /** Of this folder. */
  readonly script: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly precision?: 'fp32' | 'q4';
  absent?(): string | undefined;
}

/** A library behind a route of its own, in one process. */
export function nodePeer({ key, name, script, env, precision = 'fp32', absent }: NodePeer): ServeContestant {
  return {
    key,
    name,
    precision,
    family: 'node',
    absent: ({ bench }) => (bench === undefined ? 'only generated models are converted for it' : absent?.()),
    async start({ model, threads }) {
      const server = await ServerProcess.start({
        command: process.execPath,
        args: [join(import.meta.dirname, script)],
        env: { ...env, ...cacheOf(), MODEL: model.directory, INTRA_OP_THREADS: String(threads) },
        readyPath: '/runs',
        readyMs: READY_MS,
      });
      return {
        url: server.url,
        fields: {},
        pids: [server.pid],
        runs: () => runsAt(server.url),
        close: () => server.close(),
      };
    },
  };
}

/** Where generated models lie: the child looks for the same. */
function cacheOf(): Record<string, string> {
  const { SHOAL_BENCH_CACHE, XDG_CACHE_HOME } = process.env;
  return {
    ...(SHOAL_BENCH_CACHE !== undefined && { SHOAL_BENCH_CACHE }),
    ...(XDG_CACHE_HOME !== undefined && { XDG_CACHE_HOME }),
  };
}
