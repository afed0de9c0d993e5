import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { machineOf } from './machine.mjs';

/** @typedef {Pick<import('./list.mjs').Mutant, 'name' | 'breaks' | 'file' | 'tests'> & import('./trial.mjs').Outcome} Row */

/**
 * Notes the outcome of one mutant in a file of results. What the file says of others stays, so that a run may be done in
 * parts; mutants that are no longer listed leave it.
 *
 * @param {string} path
 * @param {Row} outcome
 * @param {readonly { name: string }[]} listed all mutants, in order
 */
export function noteOutcome(path, { name, breaks, file, tests, verdict, why, seconds }, listed) {
  const known = new Map(rowsOf(path).map((row) => [row.name, row]));
  known.set(name, { name, breaks, file, tests, verdict, why, seconds: Math.round(seconds * 10) / 10 });
  const mutants = listed.flatMap((mutant) => known.get(mutant.name) ?? []);
  const caught = mutants.filter((row) => row.verdict === 'caught').length;
  const date = new Date().toISOString().slice(0, 10);
  const content = { date, command: 'npm run mutants', ...machineOf(), caught, of: listed.length, mutants };
  writeFileSync(path, `${JSON.stringify(content, undefined, 2)}\n`);
}

/** @param {string} path @returns {Row[]} */
function rowsOf(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).mutants : [];
}
