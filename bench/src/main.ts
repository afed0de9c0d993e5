import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { API_SCENARIOS } from './api/scenarios.ts';
import type { Finding } from './finding.ts';
import { describeMachine } from './machine.ts';
import { MeasuredRedis } from './queue/redis-cost.ts';
import { QUEUE_SCENARIOS } from './queue/scenarios.ts';
import { findingLine, type Report } from './report.ts';
import { scaling } from './scaling/scaling.ts';
import type { BenchOptions, Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { writeBenchmarksPage } from './serve/benchmarks-page.ts';
import { peers } from './serve/install-peers.ts';
import { serve } from './serve/serve.ts';

/** Commands with options of their own. */
const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<void> | void>> = {
  serve,
  scaling,
  peers,
  docs: writeBenchmarksPage,
};

const BENCHES: Readonly<Record<Report['bench'], readonly Scenario[]>> = {
  engine: SCENARIOS,
  queue: QUEUE_SCENARIOS,
  api: API_SCENARIOS,
};

const HELP = `Usage: npm run bench -- engine|queue|api [options]
       npm run bench -- serve --help
       npm run bench -- scaling --help

engine measures the engine against the bare runtime, queue the queue against BullMQ's own Worker and events, with an
engine that does nothing, api the HTTP API against a bare route, serve all of it against what one would use instead; contestants are interleaved in one run.

  --quick           a small model, few jobs and few rounds: shows that it works, not how fast it is
  --json FILE       also writes machine, versions, date and every figure to FILE
  --only A,B        these scenarios alone
                    engine: ${namesOf('engine')}
                    queue:  ${namesOf('queue')}
                    api:    ${namesOf('api')}
  --rounds N        interleaved rounds of each comparison (default 15; 2 with --quick)
  --threads N       engine: threads of one operator, for every contestant (default: one per core)

Weights are generated into SHOAL_BENCH_CACHE (default: your cache folder), about 1 GB. Redis is REDIS_URL, or one of
its own.`;

async function main(): Promise<void> {
  const command = COMMANDS[process.argv[2] ?? ''];
  if (command !== undefined) return command(process.argv.slice(3));
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      only: { type: 'string' },
      rounds: { type: 'string' },
      threads: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [bench] = positionals;
  if (values.help || positionals.length !== 1 || !isBench(bench)) {
    console.log(HELP);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const options: BenchOptions = {
    quick: values.quick,
    rounds: wholeNumber('--rounds', values.rounds, values.quick ? 2 : 15),
    threads: wholeNumber('--threads', values.threads, availableParallelism()),
  };
  const report = await measure(bench, options, chosen(bench, values.only));
  if (values.json === undefined) return;
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}

async function measure(bench: Report['bench'], options: BenchOptions, scenarios: readonly Scenario[]): Promise<Report> {
  const described = describeMachine(bench);
  const versions =
    bench === 'queue' ? { ...described.versions, redis: await MeasuredRedis.version() } : described.versions;
  const machine = { ...described, versions };
  const date = new Date().toISOString();
  console.log(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB; Node ${machine.node}; load ${machine.loadBefore}`,
  );
  const done: Report['scenarios'][number][] = [];
  for (const [index, { name, title, run }] of scenarios.entries()) {
    console.log(`\n${title} (${index + 1} of ${scenarios.length})`);
    const start = performance.now();
    const findings: Finding[] = [];
    for await (const found of run(options)) {
      const finding = options.quick ? withoutTarget(found) : found;
      findings.push(finding);
      console.log(findingLine(finding));
    }
    done.push({ name, seconds: Math.round((performance.now() - start) / 1000), findings });
  }
  return { bench, date, machine, options, scenarios: done };
}

/** A small model on few samples meets or misses nothing. */
function withoutTarget({ target: _, ...finding }: Finding): Finding {
  return finding;
}

function isBench(name: string | undefined): name is Report['bench'] {
  return name !== undefined && name in BENCHES;
}

function namesOf(bench: Report['bench']): string {
  return BENCHES[bench].map(({ name }) => name).join(', ');
}

function chosen(bench: Report['bench'], only: string | undefined): readonly Scenario[] {
  if (only === undefined) return BENCHES[bench];
  return only.split(',').map((name) => {
    const scenario = BENCHES[bench].find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`there is no scenario "${name}": see --help`);
    return scenario;
  });
}

function wholeNumber(flag: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${flag} takes a whole number from 1, got "${text}"`);
  return Number(text);
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
