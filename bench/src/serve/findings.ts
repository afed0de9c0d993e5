import type { Finding, Target } from '../finding.ts';
import { LATENESS_MS } from './measures.ts';
import type { LoadLevel } from './plan.ts';
import type { ContestantResult, LevelResult, SweepResult } from './sweep.ts';

/** How often the light load's p95 a p95 may be for a load to be borne. */
const BORNE = 3;
/** What counts as a light load, in percent of (a)'s capacity. */
const LIGHT_PERCENT = 25;
/** A larger share of late requests, and the generator is what was measured. */
const LATE_SHARE = 0.01;

/** What the sweep must show, as far as those that it takes were measured. */
export function findingsOf({ contestants }: SweepResult, levels: readonly LoadLevel[]): Finding[] {
  const by = (key: string): ContestantResult | undefined =>
    contestants.find((one) => one.key === key && one.levels.length > 0);
  const [one, ours, again] = [by('a'), by('e'), by('ee')];
  const findings: Finding[] = [];
  const add = (name: string, value: number | undefined, target?: Target, unit = 'ratio'): void => {
    if (value === undefined || Number.isNaN(value)) return;
    findings.push({ name, unit, value, ...(target !== undefined && { target }) });
  };
  for (const { percent, pattern } of levels) {
    const mean = (result: ContestantResult | undefined): number | undefined =>
      at(result, percent, pattern)?.measures.meanMs;
    const load = `mean response time at ${percent} %${pattern === 'bursty' ? ' bursty' : ''}`;
    const target = pattern === 'poisson' ? MEAN_TARGETS[percent] : undefined;
    add(`${load}: Shoal (e) ÷ one at a time (a)`, divide(mean(ours), mean(one)), target);
    add(`${load}: A/A (ee) ÷ (e)`, divide(mean(again), mean(ours)));
  }
  add('highest load with p95 within 3 × light: (e) ÷ lowest that (a) does not bear', borneBeyond(ours, one), {
    atLeast: 3,
  });
  const goodput = bestGoodput(ours);
  for (const [family, atLeast] of [
    ['node', 2],
    ['python', 1.2],
  ] as const) {
    const peers = contestants.filter((peer) => peer.family === family && peer.precision === 'fp32');
    const best = peers.toSorted((x, y) => (bestGoodput(y) ?? 0) - (bestGoodput(x) ?? 0))[0];
    const name = `goodput: (e) ÷ best ${family === 'node' ? 'Node' : 'Python'} peer, fp32`;
    if (best !== undefined) add(`${name} (${best.key})`, divide(goodput, bestGoodput(best)), { atLeast });
  }
  const all = contestants.flatMap((contestant) => contestant.levels);
  if (all.length > 0) {
    const name = `share of requests that the generator sent more than ${LATENESS_MS} ms late`;
    add(name, lateShare(contestants), { atMost: LATE_SHARE });
  }
  return findings;
}

const MEAN_TARGETS: Readonly<Record<number, Target>> = { 10: { atMost: 1.05 }, 80: { atMost: 0.4 } };

function at(
  result: ContestantResult | undefined,
  percent: number,
  pattern: LevelResult['pattern'],
): LevelResult | undefined {
  return result?.levels.find((level) => level.percent === percent && level.pattern === pattern);
}

/** In percent of (a)'s capacity; what was left unanswered is not borne. Unknown where the lightest load was not light. */
export function highestBorne(result: ContestantResult | undefined): number | undefined {
  const levels = poisson(result);
  const [light] = levels;
  if (light === undefined || light.percent > LIGHT_PERCENT) return undefined;
  const failing = levels.findIndex(
    ({ measures }) => measures.p95Ms > BORNE * light.measures.p95Ms || measures.answered < measures.requests,
  );
  return levels[(failing === -1 ? levels.length : failing) - 1]?.percent;
}

/**
 * How much more than `other` somebody bears, at least: `other` may bear anything below the first load that it was seen
 * to fail. Unknown when it failed none, and when the lightest load was not light.
 */
function borneBeyond(ours: ContestantResult | undefined, other: ContestantResult | undefined): number | undefined {
  const borne = highestBorne(other);
  const failed = poisson(other).find(({ percent }) => borne !== undefined && percent > borne)?.percent;
  return divide(highestBorne(ours), failed);
}

/** Over all loads whose requests come one by one. */
export function bestGoodput(result: ContestantResult | undefined): number | undefined {
  const rates = poisson(result).map(({ measures }) => measures.goodput);
  return rates.length === 0 ? undefined : Math.max(...rates);
}

/** Loads whose requests come one by one, the lightest first. */
function poisson(result: ContestantResult | undefined): LevelResult[] {
  return (result?.levels ?? [])
    .filter(({ pattern }) => pattern === 'poisson')
    .toSorted((x, y) => x.percent - y.percent);
}

function lateShare(contestants: readonly ContestantResult[]): number {
  const all = contestants.flatMap(({ levels }) => levels.map(({ measures }) => measures));
  const sum = (of: (measures: LevelResult['measures']) => number): number => all.reduce((so, one) => so + of(one), 0);
  return (
    sum(({ late }) => late) /
    Math.max(
      1,
      sum(({ requests }) => requests),
    )
  );
}

/** Whether the generator kept to its schedule. */
export function isValid({ contestants }: SweepResult): boolean {
  return lateShare(contestants) <= LATE_SHARE;
}

function divide(above: number | undefined, below: number | undefined): number | undefined {
  return above === undefined || below === undefined ? undefined : above / below;
}
