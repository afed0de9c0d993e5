import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'dotenv';
import type { Fault } from './config-error.ts';
import { editDistance } from './edit-distance.ts';
import { MASK } from './mask.ts';

/** Where settings come from; the process's own surroundings by default. */
export interface ConfigSource {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Folder whose `.env` is read. */
  readonly cwd?: string;
}

/** The environment with `.env` beneath it, and the names in it that look like mistakes. */
export interface Environment {
  readonly values: ReadonlyMap<string, string>;
  readonly faults: readonly Fault[];
}

/** Docker Compose reads the same `.env`; its own variables are no mistake. */
const FOREIGN_IN_DOTENV = /^(COMPOSE|DOCKER)_/;

/** Names shorter than this are too close to too many others (`PORT`, `HOST`) to guess a mistake. */
const SHORTEST_GUESSED = 8;
const LONG_NAME = 11;

/**
 * Merges `.env` under the environment (an empty value counts as unset, in both) and checks the names: `.env` may hold
 * only known settings; in the environment, which others share, only a near miss of a known setting is a fault.
 */
export function readEnvironment(source: ConfigSource, known: ReadonlySet<string>): Environment {
  const env = source.env ?? process.env;
  const fromFile = readDotenv(source.cwd ?? process.cwd());
  const values = new Map<string, string>();
  const faults: Fault[] = [];

  for (const [name, value] of Object.entries(fromFile)) {
    if (value !== '') values.set(name, value);
    if (known.has(name) || FOREIGN_IN_DOTENV.test(name)) continue;
    faults.push({ name, value: MASK, problem: `unknown setting in .env${guess(name, known, ', did you mean ')}` });
  }
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value === '') continue;
    values.set(name, value);
    if (known.has(name) || name in fromFile) continue;
    const meant = guess(name, known, 'unknown setting, did you mean ');
    if (meant !== '') faults.push({ name, value: MASK, problem: meant });
  }
  return { values, faults };
}

function readDotenv(folder: string): Record<string, string> {
  try {
    return parse(readFileSync(join(folder, '.env')));
  } catch (error) {
    // No file, or a folder of that name: nothing to read. A file that may not be read is worth stopping for.
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR') return {};
    throw error;
  }
}

function guess(name: string, known: ReadonlySet<string>, words: string): string {
  const upper = name.toUpperCase();
  for (const setting of known) {
    if (setting.length < SHORTEST_GUESSED) continue;
    const allowed = setting.length < LONG_NAME ? 1 : 2;
    if (Math.abs(setting.length - upper.length) > allowed) continue;
    if (editDistance(upper, setting) <= allowed) return `${words}${setting}?`;
  }
  return '';
}
