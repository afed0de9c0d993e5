import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { ServeContestant } from './contestant.ts';
import { CONTESTANTS } from './contestants.ts';
import type { Slo } from './measures.ts';
import { type LoadLevel, parseLevels } from './plan.ts';
import type { ModelName } from './served-model.ts';

export const SERVE_HELP: string = `Usage: npm run bench -- serve [options]

Sends the same arrivals to Shoal and to what one would use instead, each in processes of its own, one at a time.

  --only A,B        these alone; f stands for all peers, cost for what queue and API add to the engine,
                    telemetry for what metrics and logs cost
${CONTESTANTS.map(({ key, name, optional }) => `                      ${key.padEnd(20)} ${name}${optional ? ' (only when named)' : ''}`).join('\n')}
                      cost                 Shoal beside its engine alone
                      telemetry            Shoal with metrics and logs beside Shoal without (only when named)
  --model NAME      135m (default), minnow, or tiny (the default with --quick)
  --levels LIST     loads in percent of (a)'s capacity, bursty with a b, in windows 4 times as long with x4
                    (default 10,80,80b,100,150,300; 10,80,300 with --quick)
  --minutes N       about how long all of it takes (default 20; 3 with --quick)
  --rounds N        rounds, each in another order (default 1: with all contestants, windows are short as it is)
  --seed N          of arrivals, lengths, prompts and order (default 1)
  --threads N       threads of one operator, for every contestant (default: one per core)
  --quick           a small model and short windows: shows that it works, not how fast it is
  --json FILE       also writes machine, versions, date and every figure to FILE

npm run bench -- peers [--install]   tells which Python peers are installed, or installs those that are not
npm run bench -- docs FILE…          writes docs/benchmarks.md and its charts from such files`;

export interface ServeOptions {
  readonly contestants: readonly ServeContestant[];
  /** Whether the added cost of queue and API is measured. */
  readonly cost: boolean;
  /** Whether the cost of metrics and logs is measured. */
  readonly telemetry: boolean;
  readonly model: ModelName;
  readonly levels: readonly LoadLevel[];
  readonly minutes: number;
  readonly rounds: number;
  readonly seed: number;
  readonly threads: number;
  readonly quick: boolean;
  readonly json?: string;
}

/**
 * Chat: a first word within a second, then ten words a second, faster than one reads. The small models answer in
 * milliseconds, and are held to a tenth of that.
 */
export const SLOS: Readonly<Record<ModelName, Slo>> = {
  '135m': { firstTokenMs: 1_000, perTokenMs: 100 },
  minnow: { firstTokenMs: 100, perTokenMs: 10 },
  tiny: { firstTokenMs: 100, perTokenMs: 10 },
};

/** Undefined where help was asked for. Throws on what it does not know. */
export function parseServe(args: readonly string[]): ServeOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      model: { type: 'string' },
      levels: { type: 'string' },
      minutes: { type: 'string' },
      rounds: { type: 'string' },
      seed: { type: 'string' },
      threads: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const { quick, json } = values;
  const keys = values.only?.split(',');
  return {
    contestants: chosen(keys),
    cost: keys === undefined || keys.includes('cost'),
    telemetry: keys?.includes('telemetry') ?? false,
    model: modelName(values.model ?? (quick ? 'tiny' : '135m')),
    levels: parseLevels(values.levels ?? (quick ? '10,80,300' : '10,80,80b,100,150,300')),
    minutes: number('--minutes', values.minutes, quick ? 3 : 20),
    rounds: number('--rounds', values.rounds, 1),
    seed: number('--seed', values.seed, 1),
    threads: number('--threads', values.threads, availableParallelism()),
    quick,
    ...(json !== undefined && { json }),
  };
}

function chosen(keys: readonly string[] | undefined): readonly ServeContestant[] {
  if (keys === undefined) return CONTESTANTS.filter(({ optional }) => optional !== true);
  for (const key of keys) {
    if (!['f', 'cost', 'telemetry'].includes(key) && !CONTESTANTS.some((one) => one.key === key)) {
      throw new Error(`there is no contestant "${key}": see npm run bench -- serve --help`);
    }
  }
  return CONTESTANTS.filter(({ key }) => keys.includes(key) || (keys.includes('f') && key.startsWith('f-')));
}

function modelName(name: string): ModelName {
  if (name === '135m' || name === 'minnow' || name === 'tiny') return name;
  throw new Error(`--model takes 135m, minnow or tiny, got "${name}"`);
}

function number(flag: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!(value > 0) || (flag !== '--minutes' && !Number.isInteger(value))) {
    throw new Error(`${flag} takes a number above 0, got "${text}"`);
  }
  return value;
}
