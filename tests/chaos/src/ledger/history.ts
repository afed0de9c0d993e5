import type { Entry } from './entry.ts';
import type { Timeline } from './timeline.ts';

/** Milliseconds around a request in which what happened to processes may matter to it. */
const MARGIN_MS = 1_000;

/**
 * The smallest history of one request: what its client did and was told, and what happened to the processes in that
 * time. Pieces of text that were read one after the other are told as one line.
 */
export function historyOf(entry: Entry, timeline: Timeline): string {
  const last = entry.notes.at(-1)?.at ?? entry.openedAt;
  const reads = readLines(entry);
  const told = [
    ...entry.notes.map(({ at, what }) => ({ at, text: `client   ${what}` })),
    ...reads,
    ...timeline
      .between(entry.openedAt - MARGIN_MS, last + MARGIN_MS)
      .map(({ at, what }) => ({ at, text: `cluster  ${what}` })),
  ].sort((a, b) => a.at - b.at);
  const lines = withoutRepeats(told).map(
    ({ at, text }) => `  ${((at - entry.openedAt) / 1000).toFixed(3).padStart(9)} s  ${text}`,
  );
  const head = `request ${entry.number} (${entry.terms.kind}), opened ${new Date(entry.openedAt).toISOString()}: ${entry.about}`;
  return [head, ...lines].join('\n');
}

/** Stretches of reading without a pause of more than half a second. */
function readLines({ reads }: Entry): { at: number; text: string }[] {
  const lines: { at: number; text: string }[] = [];
  let from = 0;
  for (let index = 1; index <= reads.length; index++) {
    const [before, after] = [reads[index - 1], reads[index]];
    if (before === undefined || (after !== undefined && after.at - before.at <= 500)) continue;
    const to = before.position > 0 ? `, to position ${before.position}` : '';
    const first = reads[from];
    lines.push({
      at: first?.at ?? before.at,
      text: `read     ${index - from} pieces in ${before.at - (first?.at ?? before.at)} ms${to}`,
    });
    from = index;
  }
  return lines;
}

/** What is said again and again is said once; which replica was asked makes no difference. */
function withoutRepeats(told: readonly { at: number; text: string }[]): { at: number; text: string }[] {
  const lines: { at: number; text: string }[] = [];
  const counts = new Map<string, number>();
  for (const { at, text } of told) {
    const kind = text.replace(/127\.0\.0\.1:\d+/g, '');
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    if (count <= 2) lines.push({ at, text });
    else if (count === 3) lines.push({ at, text: `${text} (and again)` });
  }
  return lines;
}
