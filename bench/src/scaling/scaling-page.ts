import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { meets } from '../finding.ts';
import { lineChart } from '../serve/chart.ts';
import type { Knee } from './knee.ts';
import type { PartReport, ScalingReport } from './scaling-report.ts';
import { fullSpeed } from './simulated-worker.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const PAGE = join(ROOT, 'docs', 'scaling.md');
const [BEGIN, END] = ['<!-- figures: npm run bench -- scaling --page -->', '<!-- end of figures -->'];

/** Renews what lies between the marks of docs/scaling.md, and the chart beside the report. */
export function writeScalingPage(file: string, report: ScalingReport): void {
  const chart = file.replace(/(\.json)?$/, '.svg');
  writeFileSync(chart, scalingChart(report));
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from === -1 || to < from) throw new Error(`${PAGE} lacks the marks ${BEGIN} … ${END}`);
  const figures = scalingFigures(report, { source: basename(file), chart: `../bench/results/${basename(chart)}` });
  writeFileSync(PAGE, `${page.slice(0, from + BEGIN.length)}\n\n${figures}\n\n${page.slice(to)}`);
}

/** Tokens per second against workers, with what Redis alone would bear. */
export function scalingChart({ parts: { streamed, unread } }: ScalingReport): string {
  const measured = [streamed, unread].filter((part) => part !== undefined);
  const most = Math.max(0, ...measured.flatMap(({ points }) => points.map(({ workers }) => workers)));
  const [first] = measured;
  const speed = first === undefined ? 0 : fullSpeed(first.device);
  const highest = Math.max(0, ...measured.map(({ knee }) => knee?.redisTokensPerSecond ?? 0));
  return lineChart({
    title: 'Tokens per second against simulated workers, one Redis',
    xLabel: 'workers',
    yLabel: 'tokens/s',
    series: [
      ...measured.map(({ title, points }) => ({
        name: title,
        points: points.map(({ workers, tokensPerSecond }) => ({ x: workers, y: tokensPerSecond })),
      })),
      // As far as anything was near it: further up it would only press the others down.
      {
        name: 'what the devices could do',
        points: [0, Math.min(most, (1.3 * highest) / speed)].map((x) => ({ x, y: x * speed })),
      },
      ...measured.flatMap(({ title, knee }) =>
        knee?.redisTokensPerSecond === undefined
          ? []
          : [
              {
                name: `1 ÷ Redis CPU per token: ${title}`,
                points: [0, most].map((x) => ({ x, y: knee.redisTokensPerSecond ?? 0 })),
              },
            ],
      ),
    ],
  });
}

/** The tables and sentences of a report, as Markdown. */
export function scalingFigures(report: ScalingReport, { source, chart }: { source: string; chart: string }): string {
  const { streamed, unread, costs, shards } = report.parts;
  const measured = [streamed, unread, costs, shards].filter((part) => part !== undefined);
  const [first] = measured;
  if (first === undefined) return 'Nothing was measured yet.';
  const quick = measured.some((part) => part.quick);
  const loads = measured.map(({ machine }) => machine.loadBefore);
  const { machine } = first;
  return [
    `From \`bench/results/${source}\`, ${first.date.slice(0, 10)}: ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, Redis ${machine.versions.redis}, load average before ${loads.join(' / ')}.`,
    quick ? '**A quick run: it shows that the bench works, not how far anything scales.**' : '',
    streamed === undefined && unread === undefined ? '' : `![Tokens per second against workers](${chart})`,
    ...[streamed, unread].flatMap((part) => (part === undefined ? [] : growth(part))),
    ...[costs, shards].flatMap((part) => (part === undefined ? [] : findings(part))),
  ]
    .filter((text) => text !== '')
    .join('\n\n');
}

function growth(part: PartReport): string[] {
  return [
    `### One Redis, ${part.title}`,
    part.knee === undefined ? '' : kneeText(part.knee, part.machine.cores),
    table(
      [
        'workers',
        'tokens/s',
        'jobs/s',
        'of the devices',
        'slots taken',
        'Redis, cores (wanted)',
        'workers, cores',
        'callers, cores',
        'machine, cores',
        'Redis µs/token',
        'scripts/s',
        'tokens per write',
        'write p50 / p99, ms',
        'token age p50 / p99, ms',
      ],
      part.points.map((point) => [
        String(point.workers),
        ...[point.tokensPerSecond, point.jobsPerSecond].map(figure),
        `${Math.round(100 * point.shareOfDevices)} %`,
        `${Math.round(100 * point.fill)} %`,
        `${figure(point.redis.mainCores)} (${figure(point.redis.mainCores + point.redis.mainWaiting)})`,
        ...[point.workerCores, point.callerCores, point.hostCores].map(figure),
        figure((1e6 * point.redis.mainCores) / point.tokensPerSecond),
        figure(point.redis.scriptsPerSecond),
        figure(point.tokensPerPiece),
        `${figure(point.emitP50Ms)} / ${figure(point.emitP99Ms)}`,
        point.ageP50Ms === undefined ? '–' : `${figure(point.ageP50Ms)} / ${figure(point.ageP99Ms)}`,
      ]),
    ),
  ];
}

function kneeText(knee: Knee, cores: number): string {
  const causes = {
    redis: 'the thread of Redis that runs commands has nothing left to give',
    host: `the machine's ${cores} cores have nothing left to give: workers and callers share them with Redis here, which always has work and does not always get the core it wants`,
    neither: 'neither Redis nor the machine is full',
  };
  const bend =
    knee.kneeAt === undefined
      ? `Linear as far as was measured, ${knee.linearUpTo} workers.`
      : `Linear up to ${knee.linearUpTo ?? 0} workers; at ${knee.kneeAt} ${causes[knee.cause ?? 'neither']}.`;
  if (knee.redisTokensPerSecond === undefined) return bend;
  return `${bend} Redis spends ${figure(knee.redisMicrosPerToken)} µs on a token in the linear part, so a core of its own bears about ${thousands(knee.redisTokensPerSecond)} tokens/s, ${Math.round(knee.redisWorkers ?? 0)} such workers, when tokens are written as they come. Beyond that a write carries more of them, which is cheaper, and later: the most that was reached here is ${thousands(knee.mostTokensPerSecond)}.`;
}

function findings(part: PartReport): string[] {
  return [
    `### ${part.title[0]?.toUpperCase()}${part.title.slice(1)}`,
    table(
      ['', 'measured', 'target'],
      part.findings.map((finding) => {
        const { target, value, unit, name, pairs } = finding;
        const wanted = target === undefined ? '' : 'atLeast' in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`;
        const verdict = { true: ', met', false: ', **not met**', undefined: '' }[String(meets(finding)) as 'true'];
        const spread = pairs === undefined || pairs.pairs < 2 ? '' : ` (${figure(pairs.low)} … ${figure(pairs.high)})`;
        return [
          name,
          `${figure(value)}${unit === 'ratio' || unit === '' ? '' : ` ${unit}`}${spread}`,
          wanted + verdict,
        ];
      }),
    ),
  ];
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function figure(value: number | null | undefined): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

function thousands(value: number): string {
  return `${Math.round(value / 1_000)},000`.replace(/^0,000$/, String(Math.round(value)));
}
