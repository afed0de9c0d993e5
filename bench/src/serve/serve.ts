import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Finding } from '../finding.ts';
import { describeMachine } from '../machine.ts';
import { Child } from '../queue/child.ts';
import { MeasuredRedis } from '../queue/redis-cost.ts';
import { findingLine, type Report } from '../report.ts';
import { addedCost } from './added-cost.ts';
import { BATCH } from './contestant.ts';
import { CONTESTANTS } from './contestants.ts';
import { findingsOf, isValid } from './findings.ts';
import type { LoadGeneratorCalls } from './load-generator.ts';
import { pythonVersions } from './python-peer.ts';
import { parseServe, SERVE_HELP, type ServeOptions, SLOS } from './serve-options.ts';
import type { ServeReport } from './serve-report.ts';
import { servedModel } from './served-model.ts';
import { Sweep } from './sweep.ts';
import { telemetryCost } from './telemetry-cost.ts';

/** `npm run bench -- serve`. */
export async function serve(args: readonly string[]): Promise<void> {
  const options = parseServe(args);
  if (options === undefined) {
    console.log(SERVE_HELP);
    return;
  }
  const described = describeMachine('serve');
  const versions = { ...described.versions, redis: await MeasuredRedis.version(), ...pythonVersions() };
  const machine = { ...described, versions };
  console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB; load ${machine.loadBefore}`);
  const generator = new Child<LoadGeneratorCalls>('../serve/load-generator.js');
  try {
    const generatorFirst = await generator.call('prioritise', undefined as never);
    const measured = await measureAll(options, generator);
    const report: ServeReport = {
      bench: 'serve',
      date: new Date().toISOString(),
      machine,
      command: ['npm run bench -- serve', ...args].join(' '),
      quick: options.quick,
      model: options.model,
      threads: options.threads,
      batch: BATCH,
      rounds: options.rounds,
      minutes: options.minutes,
      seed: options.seed,
      slo: SLOS[options.model],
      ...measured,
      generatorFirst,
    };
    if (!report.valid) console.log('\nThe load generator was late too often: this run says nothing.');
    if (options.json === undefined) return;
    mkdirSync(dirname(options.json), { recursive: true });
    writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  } finally {
    generator.close();
  }
}

async function measureAll(
  options: ServeOptions,
  generator: Child<LoadGeneratorCalls>,
): Promise<Pick<ServeReport, 'capacity' | 'contestants' | 'scenarios' | 'valid'>> {
  const { contestants, quick, rounds } = options;
  const model = servedModel(options.model);
  const scenarios: Report['scenarios'][number][] = [];
  const tell = async (
    name: string,
    title: string,
    found: AsyncIterable<Finding> | Iterable<Finding>,
  ): Promise<void> => {
    console.log(`\n${title}`);
    const start = performance.now();
    const findings: Finding[] = [];
    for await (const { target, ...finding } of found) {
      // A small model on few samples meets or misses nothing.
      const kept = quick || target === undefined ? finding : { ...finding, target };
      findings.push(kept);
      console.log(findingLine(kept));
    }
    scenarios.push({ name, seconds: Math.round((performance.now() - start) / 1000), findings });
  };
  if (options.cost) {
    const cost = addedCost({
      ...options,
      model,
      generator,
      rounds: quick ? 2 : 4 * rounds,
      // A step takes some milliseconds more or less: the median of so many differences is good to half a one.
      lone: quick ? 20 : 400,
    });
    await tell('cost', 'What API, queue and worker add to the engine', cost);
  }
  if (options.telemetry) {
    const cost = telemetryCost({ ...options, model, generator, rounds: quick ? 2 : 6 * rounds });
    await tell('telemetry', 'What metrics and logs cost', cost);
  }
  const [one] = CONTESTANTS;
  if (contestants.length === 0 || one === undefined) return { contestants: [], scenarios, valid: true };
  console.log('\nThe same arrivals to everybody');
  const sweep = new Sweep({
    ...options,
    model,
    generator,
    slo: SLOS[options.model],
    patienceMs: options.model === '135m' ? 8_000 : 2_000,
    capacityMs: quick ? 1_500 : 15_000,
    log: (line) => console.log(line),
  });
  const result = await sweep.run(one);
  await tell('load', 'Ratios', findingsOf(result, options.levels));
  return { capacity: result.capacity, contestants: result.contestants, scenarios, valid: isValid(result) };
}
