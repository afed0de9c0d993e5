import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { meets } from '../finding.ts';
import { isBusy } from '../machine.ts';

import { ANSWER_LENGTHS, type LengthLaw, PROMPT_LENGTHS } from './arrivals.ts';
import { lineChart, type Series } from './chart.ts';
import { LENGTH } from './contestant.ts';
import { bestGoodput, highestBorne } from './findings.ts';
import type { ServeReport } from './serve-report.ts';
import type { ContestantResult, LevelResult } from './sweep.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const PAGE = join(ROOT, 'docs', 'benchmarks.md');

/** One run, as the page shows it. */
export interface PageRun {
  readonly report: ServeReport;
  /** The file's name. */
  readonly source: string;
  /** Of response time and of goodput, from the page's folder; none where no load was swept. */
  readonly charts: readonly string[];
}

/** `npm run bench -- docs FILE…`: the page and its charts, from what runs of `serve --json` wrote, in this order. */
export function writeBenchmarksPage(args: readonly string[]): void {
  if (args.length === 0) throw new Error('Usage: npm run bench -- docs FILE…');
  const runs = args.map((file): PageRun => {
    const report = JSON.parse(readFileSync(file, 'utf8')) as ServeReport;
    if (report.bench !== 'serve') throw new Error(`${file} was not written by npm run bench -- serve --json`);
    const charts = Object.entries(report.contestants.length > 0 ? chartsOf(report) : {}).map(([name, svg]) => {
      const path = file.replace(/(\.json)?$/, `-${name}.svg`);
      writeFileSync(path, svg);
      return relative(dirname(PAGE), join(process.cwd(), path));
    });
    return { report, source: basename(file), charts };
  });
  mkdirSync(dirname(PAGE), { recursive: true });
  writeFileSync(PAGE, benchmarksPage(runs));
}

/** Response time and goodput against load. */
export function chartsOf({ contestants }: ServeReport): Record<string, string> {
  const series = (value: (level: LevelResult) => number): Series[] =>
    contestants
      .filter(({ levels, key }) => levels.length > 0 && key !== 'ee')
      .map(({ key, name, levels }) => ({
        name: `${key}: ${name}`,
        points: levels
          .filter(({ pattern }) => pattern === 'poisson')
          .map((level) => ({ x: level.percent, y: value(level) })),
      }));
  const xLabel = "load, % of one prompt at a time's capacity";
  return {
    response: lineChart({
      title: 'Mean response time',
      xLabel,
      yLabel: 'ms (log)',
      logY: true,
      series: series(({ measures }) => measures.meanMs),
    }),
    goodput: lineChart({
      title: 'Answers in time per second',
      xLabel,
      yLabel: 'answers/s',
      series: series(({ measures }) => measures.goodput),
    }),
  };
}

export function benchmarksPage(runs: readonly PageRun[]): string {
  const sources = runs.map(({ source }) => `\`bench/results/${source}\``).join(', ');
  const swept = runs.find(({ report }) => report.contestants.length > 0)?.report;
  return `${[
    '# Benchmarks',
    `Generated from ${sources} (\`npm run bench -- docs FILE…\`): measure again instead of editing. Ratios are of one run; figures of two runs are not to be compared.`,
    ...runs.flatMap(runParts),
    '## How',
    ...(swept === undefined ? [] : [methodOf(swept)]),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`;
}

function runParts({ report, charts }: PageRun): string[] {
  const { machine, capacity, contestants } = report;
  const [response, goodput] = charts;
  return [
    `## ${titleOf(report)}`,
    report.valid ? '' : '**The load generator was late in this run: it says nothing.**',
    isBusy(machine) ? `**The machine was busy (load ${machine.loadBefore}): only the direction counts.**` : '',
    report.quick ? '**A quick run on a small model: it shows that the bench works, not how fast anything is.**' : '',
    contestants.length === 0
      ? ''
      : `The same arrivals to everybody, each contestant in processes of its own, one at a time. 100 % is what one prompt at a time (a) answers when it never waits: ${capacity?.toFixed(2) ?? '?'} requests per second in this run.`,
    response === undefined ? '' : `![Mean response time](${response})`,
    goodput === undefined ? '' : `![Goodput](${goodput})`,
    findingsTable(report),
    ...(contestants.length === 0 ? [] : [...whoTable(report), ...tablesOf(report)]),
    provenanceOf(report),
  ];
}

function titleOf({ contestants }: ServeReport): string {
  if (contestants.length === 0) return 'What queue and API add to the engine';
  const hasPeers = contestants.some(({ family }) => family === 'node' || family === 'python');
  return hasPeers ? 'Against what one would use instead' : 'Against one prompt at a time';
}

function findingsTable({ scenarios }: ServeReport): string {
  return table(
    ['', 'target', 'measured', ''],
    scenarios.flatMap(({ findings }) =>
      findings.map((finding) => {
        const { target, value, unit, name, pairs, difference } = finding;
        const samples = pairs ?? difference;
        const wanted = target === undefined ? '' : 'atLeast' in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`;
        const met = meets(finding);
        const spread = samples === undefined ? '' : ` (${figure(samples.low)} … ${figure(samples.high)})`;
        const measured = `${figure(value)}${unit === 'ratio' ? '' : ` ${unit}`}${spread}`;
        return [name, wanted, measured, met === undefined ? '' : met ? 'met' : '**not met**'];
      }),
    ),
  );
}

function whoTable({ contestants }: ServeReport): string[] {
  return [
    '### Who was measured',
    table(
      ['', 'who', 'precision', 'highest load borne', 'best goodput, answers/s', 'peak memory, MB', ''],
      contestants.map((one) => [
        `\`${one.key}\``,
        one.name,
        one.precision,
        borne(one),
        figure(bestGoodput(one)),
        figure(one.peakMb),
        one.absent === undefined ? '' : oneLine(one.absent),
      ]),
    ),
    'A load is borne when its 95th percentile is at most three times that of the lightest load, which must be a quarter of the capacity at most, and everything was answered. Memory is the sum of the highest resident sizes of all its processes, Redis included.',
  ];
}

function provenanceOf({ machine, command, date, model, threads, batch, rounds, seed }: ServeReport): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return `\`${command}\` on ${date.slice(0, 10)}: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}, Node ${machine.node}; load average before ${machine.loadBefore}. ${versions.join(', ')}. Model \`${model}\`, ${threads} threads, batches of up to ${batch}, ${LENGTH} tokens at most, ${rounds} rounds, seed ${seed}.`;
}

function methodOf({ slo, generatorFirst }: ServeReport): string {
  return [
    `- **Open loop.** Arrivals are drawn beforehand (Poisson; bursty: bursts of 4 in the mean, as a Poisson process); each request is sent when due, and its time counts from then, whether or not the server keeps up. A request that is unanswered some seconds after the last arrival has waited until then: such means and quantiles are lower bounds, marked ≥.`,
    `- **Lengths** are log-normal: prompts ${lawText(PROMPT_LENGTHS)}, answers ${lawText(ANSWER_LENGTHS)}. That is a sixteenth of ShareGPT's mean lengths as vLLM's authors give them (arXiv 2309.06180), so that a slow processor sees dozens of requests in a window. Nothing ends an answer early. Windows are as long as \`--minutes\` allows, longer where arrivals are rare.`,
    `- **In time** means a first token within ${slo.firstTokenMs} ms and ${slo.perTokenMs} ms for each further one in the mean; an answer that comes whole (a, b and the peers without streams) must be there when a stream at that pace would have ended. Goodput is the answers in time per second.`,
    '- **Interleaved.** In each round every contestant is started, warmed up, measured at all loads and stopped, in an order drawn anew; `ee` is `e` again, and how far it is from `e` is what a ratio can be off.',
    `- **The load generator** is a process of its own${generatorFirst ? ', scheduled before the others' : ''}; its lateness is part of every figure. A run in which it sent more than 1 % of the requests over 10 ms late says nothing, and says so.`,
    '- **Weights are random** and lengths forced, so that all do the same work. The ONNX contestants read the same file; llama.cpp and PyTorch have the same architecture.',
  ].join('\n');
}

function tablesOf({ contestants }: ServeReport): string[] {
  const loads = [...new Map(contestants.flatMap(({ levels }) => levels).map((level) => [loadName(level), level]))];
  const header = [
    ...['', 'tokens/s', 'goodput', 'mean', 'p50', 'p95', 'p99', 'first token p50', 'p95', 'between tokens p50', 'p99'],
    ...['mean batch', 'CPU s per 1,000 tokens', 'sent late by, p99', 'answered'],
  ];
  return loads.flatMap(([name, { requestsPerSecond }]) => [
    `### Load ${name}: ${requestsPerSecond.toFixed(2)} requests per second`,
    table(
      header,
      contestants.flatMap((one) =>
        one.levels.filter((level) => loadName(level) === name).map((level) => row(one, level)),
      ),
    ),
  ]);
}

function row({ key }: ContestantResult, { measures: m, meanBatch, cpuSecondsPer1000Tokens }: LevelResult): string[] {
  const bound = m.unanswered > 0 ? '≥ ' : '';
  return [
    `\`${key}\``,
    figure(m.tokensPerSecond),
    figure(m.goodput),
    ...[m.meanMs, m.p50Ms, m.p95Ms, m.p99Ms].map((ms) => bound + figure(ms)),
    ...[
      m.firstP50Ms,
      m.firstP95Ms,
      m.interTokenP50Ms,
      m.interTokenP99Ms,
      meanBatch,
      cpuSecondsPer1000Tokens,
      m.latenessP99Ms,
    ].map(figure),
    `${m.answered} of ${m.requests}${m.failure === undefined ? '' : ` (${oneLine(m.failure)})`}`,
  ];
}

function loadName({ percent, pattern }: LevelResult): string {
  return `${percent} %${pattern === 'bursty' ? ', bursty' : ''}`;
}

function lawText({ median, deviation, least, most }: LengthLaw): string {
  return `median ${median} tokens, deviation of the logarithm ${deviation}, ${least} … ${most}`;
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Three digits; JSON keeps what is not a number as null. */
function figure(value: number | null | undefined): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

function borne(one: ContestantResult): string {
  const percent = highestBorne(one);
  return percent === undefined ? '–' : `${percent} %`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').slice(0, 300);
}
