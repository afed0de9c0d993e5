import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { Finding } from './finding.ts';
import { describeMachine } from './machine.ts';
import { findingLine, type Report } from './report.ts';
import type { BenchOptions } from './scenario.ts';
import { SCENARIOS } from './scenarios/index.ts';

const HELP = `Usage: npm run bench -- engine [options]

Measures the engine against the bare runtime, contestants interleaved in one run.

  --quick           a small model and few rounds: shows that it works, not how fast it is
  --json FILE       also writes machine, versions, date and every figure to FILE
  --only A,B        these scenarios alone: ${SCENARIOS.map(({ name }) => name).join(', ')}
  --rounds N        interleaved rounds of each comparison (default 15; 2 with --quick)
  --threads N       threads of one operator, for every contestant (default: one per core)

Weights are generated into SHOAL_BENCH_CACHE (default: your cache folder), about 1 GB.`;

async function main(): Promise<void> {
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
  if (values.help || positionals.join() !== 'engine') {
    console.log(HELP);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const options: BenchOptions = {
    quick: values.quick,
    rounds: wholeNumber('--rounds', values.rounds, values.quick ? 2 : 15),
    threads: wholeNumber('--threads', values.threads, availableParallelism()),
  };
  const report = await measure(options, chosen(values.only));
  if (values.json === undefined) return;
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}

async function measure(options: BenchOptions, scenarios: typeof SCENARIOS): Promise<Report> {
  const machine = describeMachine();
  const date = new Date().toISOString();
  console.log(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB; Node ${machine.node}; load ${machine.loadBefore}`,
  );
  const done: Report['scenarios'][number][] = [];
  for (const { name, title, run } of scenarios) {
    console.log(`\n${title}`);
    const start = performance.now();
    const findings: Finding[] = [];
    for await (const found of run(options)) {
      const finding = options.quick ? withoutTarget(found) : found;
      findings.push(finding);
      console.log(findingLine(finding));
    }
    done.push({ name, seconds: Math.round((performance.now() - start) / 1000), findings });
  }
  return { bench: 'engine', date, machine, options, scenarios: done };
}

/** A small model on few samples meets or misses nothing. */
function withoutTarget({ target: _, ...finding }: Finding): Finding {
  return finding;
}

function chosen(only: string | undefined): typeof SCENARIOS {
  if (only === undefined) return SCENARIOS;
  return only.split(',').map((name) => {
    const scenario = SCENARIOS.find((one) => one.name === name);
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
