import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from '../machine.ts';
import { MeasuredRedis } from '../queue/redis-cost.ts';
import { findingLine } from '../report.ts';
import { PARTS } from './parts.ts';
import type { Point } from './point.ts';
import { writeScalingPage } from './scaling-page.ts';
import { PART_NAMES, type PartName, type ScalingReport } from './scaling-report.ts';

const HELP = `Usage: npm run bench -- scaling [options]

Simulated workers on a real Redis: the real consumers, scripts and readers; only the model is a timer.

  --only A,B        these parts alone: ${PART_NAMES.join(', ')}
                      streamed, unread   more and more workers on one Redis; every token read, or nobody listening
                      costs              what Redis spends on a token, a job, an idle worker
                      shards             two shards of a Cluster with a model each, beside one
  --points LIST     numbers of workers (default 1,4,16,32,48,64,96,128,192,256; 1,4 with --quick)
  --seconds N       length of each point's window (default 5; 1 with --quick)
  --rounds N        repetitions of what is compared (default 2; 1 with --quick)
  --quick           shows that it works, not how far anything scales
  --json FILE       writes everything to FILE; parts that it has and that are not measured now are kept
  --page            renews the figures in docs/scaling.md, and their chart, from the FILE of --json; alone, it measures nothing`;

/** `npm run bench -- scaling`. */
export async function scaling(args: readonly string[]): Promise<void> {
  const options = parse(args);
  if (options === undefined) return console.log(HELP);
  const { json, page, parts } = options;
  let report: ScalingReport = json === undefined ? { bench: 'scaling', parts: {} } : read(json);
  for (const name of parts) {
    const part = await measure(name, options);
    report = { ...report, parts: { ...report.parts, [name]: part } };
    if (json === undefined) continue;
    mkdirSync(dirname(json), { recursive: true });
    writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  }
  if (page && json !== undefined) writeScalingPage(json, report);
}

interface ScalingOptions {
  readonly parts: readonly PartName[];
  readonly workers: readonly number[];
  readonly windowMs: number;
  readonly rounds: number;
  readonly quick: boolean;
  readonly page: boolean;
  readonly json: string | undefined;
  readonly command: string;
}

/** Undefined where help was asked for. Throws on what it does not know. */
function parse(args: readonly string[]): ScalingOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      points: { type: 'string' },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      page: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { help, only, quick, page, json } = values;
  if (help) return undefined;
  if (page && json === undefined) throw new Error('--page takes its figures from the file of --json');
  const measuresNothing = page && only === undefined;
  return {
    parts: measuresNothing ? [] : (only?.split(',') ?? PART_NAMES).map(partName),
    workers: (values.points ?? (quick ? '1,4' : '1,4,16,32,48,64,96,128,192,256'))
      .split(',')
      .map((text) => positive('--points', text)),
    windowMs: 1_000 * positive('--seconds', values.seconds ?? (quick ? '1' : '5')),
    rounds: positive('--rounds', values.rounds ?? (quick ? '1' : '2')),
    ...{ quick, page, json },
    command: ['npm run bench -- scaling', ...args].join(' '),
  };
}

function partName(name: string): PartName {
  const known = PART_NAMES.find((part) => part === name);
  if (known === undefined) throw new Error(`there is no part "${name}": see npm run bench -- scaling --help`);
  return known;
}

function positive(flag: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${flag} takes whole numbers from 1, got "${text}"`);
  return Number(text);
}

function read(file: string): ScalingReport {
  if (!existsSync(file)) return { bench: 'scaling', parts: {} };
  const report = JSON.parse(readFileSync(file, 'utf8')) as ScalingReport;
  if (report.bench !== 'scaling') throw new Error(`${file} was not written by npm run bench -- scaling --json`);
  return report;
}

async function measure(name: PartName, options: ScalingOptions): Promise<ScalingReport['parts'][PartName]> {
  const { workers, windowMs, rounds, quick, command } = options;
  const described = describeMachine('queue');
  const machine = { ...described, versions: { ...described.versions, redis: await MeasuredRedis.version() } };
  console.log(`\n${name}: ${machine.cpu}, ${machine.cores} cores; load ${machine.loadBefore}`);
  const part = await PARTS[name]({ workers, windowMs, rounds, onPoint: tell });
  const { knee } = part;
  if (knee !== undefined) console.log(`  ${JSON.stringify(knee)}`);
  for (const finding of part.findings) console.log(findingLine(finding));
  return { ...part, date: new Date().toISOString(), machine, command, quick };
}

function tell(name: string, point: Point): void {
  const { redis, tokensPerSecond, jobsPerSecond, shareOfDevices, workerCores, callerCores, hostCores } = point;
  const figures = [
    `${tokensPerSecond.toFixed(0)} tokens/s`,
    `${jobsPerSecond.toFixed(1)} jobs/s`,
    `${(100 * shareOfDevices).toFixed(0)} % of the devices, slots ${(100 * point.fill).toFixed(0)} % taken`,
    `cores: Redis ${redis.mainCores.toFixed(2)} (waits ${redis.mainWaiting.toFixed(2)}), workers ${workerCores.toFixed(2)}, callers ${callerCores.toFixed(2)}, machine ${hostCores.toFixed(2)}`,
    `Redis ${((1e6 * redis.mainCores) / tokensPerSecond).toFixed(1)} µs/token`,
    `write p99 ${point.emitP99Ms.toFixed(0)} ms`,
    ...(point.ageP99Ms === undefined ? [] : [`token age p99 ${point.ageP99Ms.toFixed(0)} ms`]),
    ...(point.wrong === 0 ? [] : [`${point.wrong} WRONG`]),
    ...(point.refused === 0 ? [] : [`${point.refused} refused`]),
    ...point.errors.slice(0, 2),
  ];
  console.log(`  ${name}: ${figures.join(', ')}`);
}
