import type { Entry } from './ledger/entry.ts';
import { historyOf } from './ledger/history.ts';
import type { Ledger } from './ledger/ledger.ts';
import { say, table } from './terminal.ts';

/** Histories of so many offending requests are printed, of different faults first. */
const HISTORIES = 5;

/** Requests by kind and end, as a table. */
export function sayRequests(ledger: Ledger): void {
  const rows = [...ledger.tally()].sort().map(([kind, ends]) => {
    const total = [...ends.values()].reduce((sum, count) => sum + count, 0);
    const told = [...ends].sort((a, b) => b[1] - a[1]).map(([end, count]) => `${end} ${count}`);
    return [kind, total, told.join(', ')];
  });
  say(table(['requests', 'count', 'ends'], rows));
}

/** What was broken, with the smallest histories that show it. */
export function sayViolations(ledger: Ledger): void {
  for (const { what } of ledger.findings) say(`\nVIOLATION: ${what}`);
  const { offending } = ledger;
  const byKind = new Map<string, Entry[]>();
  for (const entry of offending) {
    const kind = (entry.violations[0] ?? '').replace(/\d+|"[^"]*"/g, '#').slice(0, 40);
    byKind.set(kind, [...(byKind.get(kind) ?? []), entry]);
  }
  const shown = [...byKind.values()].flatMap(smallest).slice(0, HISTORIES);
  for (const entry of shown) say(`\n${historyOf(entry, ledger.timeline)}`);
  if (offending.length > shown.length)
    say(`\n… and ${offending.length - shown.length} more requests, of the same kinds`);
}

/** The one of whose life there is least to tell. */
function smallest(entries: readonly Entry[]): Entry[] {
  const lifetime = (entry: Entry): number => (entry.notes.at(-1)?.at ?? 0) - entry.openedAt;
  return [...entries].sort((a, b) => lifetime(a) - lifetime(b)).slice(0, 1);
}

/** What of a ledger goes into a file of figures. */
export function ledgerFigures(ledger: Ledger): object {
  const requests = Object.fromEntries([...ledger.tally()].map(([kind, ends]) => [kind, Object.fromEntries(ends)]));
  return {
    requests: ledger.entries.length,
    accepted: ledger.entries.filter(({ acceptedAt }) => acceptedAt !== undefined).length,
    byKind: requests,
    violations: [
      ...ledger.findings.map(({ what }) => what),
      ...ledger.offending.flatMap(({ number, violations }) => violations.map((what) => `request ${number}: ${what}`)),
    ],
  };
}
