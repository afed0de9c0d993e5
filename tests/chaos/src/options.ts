import { parseArgs } from 'node:util';
import { FAULTS } from './faults/index.ts';
import { SCENARIOS } from './rounds/index.ts';

export interface Options {
  seed: number;
  minutes: number;
  only: readonly string[] | undefined;
  everyMs: number;
  clients: number;
  /** Scenarios and how many rounds of each; undefined for a soak. */
  rounds: ReadonlyMap<string, number> | undefined;
  json: string | undefined;
}

export const HELP = `Usage: npm run chaos -- --minutes N [options]
       npm run chaos -- --rounds SCENARIO[=N],… [options]

Runs a cluster of real processes, breaks it on purpose, and checks what its clients saw. Exit 1 on a broken promise.

  --minutes N       mixed load under all kinds of faults, for N minutes (may be a fraction)
  --seed S          the same asks, clients and faults again (default: one by chance, which is printed)
  --only A,B        these faults alone: ${FAULTS.map(({ name }) => name).join(', ')}
  --every SECONDS   mean time between two faults (default 3)
  --clients N       clients that ask at the same time (default 32)
  --rounds A=N,B    named scenarios, N rounds of each; "all" is every one:
${SCENARIOS.map(({ name, rounds, title }) => `                      ${name.padEnd(14)} ${title} (${rounds})`).join('\n')}
  --json FILE       also writes every figure, the machine and the date to FILE`;

/** Undefined when help is asked for; throws, with what to do, on anything unknown. */
export function parseOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string' },
      seed: { type: 'string' },
      only: { type: 'string' },
      every: { type: 'string' },
      clients: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help || (values.minutes === undefined && values.rounds === undefined)) return undefined;
  return {
    seed: positive('--seed', values.seed, Math.floor(Math.random() * 2 ** 31)),
    minutes: positive('--minutes', values.minutes, 1),
    only: values.only === undefined ? undefined : known(values.only.split(','), FAULTS, '--only'),
    everyMs: positive('--every', values.every, 3) * 1_000,
    clients: positive('--clients', values.clients, 32),
    rounds: values.rounds === undefined ? undefined : roundsOf(values.rounds),
    json: values.json,
  };
}

function roundsOf(text: string): Map<string, number> {
  const parts = text === 'all' ? SCENARIOS.map(({ name }) => name) : text.split(',');
  return new Map(
    parts.map((part) => {
      const [name = '', count] = part.split('=');
      known([name], SCENARIOS, '--rounds');
      const usual = SCENARIOS.find((scenario) => scenario.name === name)?.rounds ?? 1;
      return [name, positive('--rounds', count, usual)];
    }),
  );
}

function known(names: string[], list: readonly { name: string }[], flag: string): string[] {
  const unknown = names.filter((name) => !list.some((one) => one.name === name));
  if (unknown.length > 0) throw new Error(`${flag}: there is no ${unknown.join(', ')}; --help lists what there is`);
  return names;
}

function positive(flag: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${flag} takes a number above 0, got "${text}"`);
  return value;
}
