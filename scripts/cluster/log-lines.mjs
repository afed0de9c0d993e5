// The processes log JSON; a person wants sentences.
import { dim, red, shorten, yellow } from '../console/terminal.mjs';

const NOT_SHOWN = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'name', 'service', 'v']);
const WARNING = 40;
const ERROR = 50;

/**
 * @param {string} line What a process wrote.
 * @returns {{ level: number, text: string }} pino's level (30 is info), and the line for a person.
 */
export function readable(line) {
  const entry = parse(line);
  if (!entry) return { level: /\b(error|fatal)\b/i.test(line) ? ERROR : 30, text: line };
  const level = Number(entry.level ?? 30);
  const colour = level >= ERROR ? red : level >= WARNING ? yellow : (/** @type {string} */ text) => text;
  const facts = Object.entries(entry)
    .filter(([key]) => !NOT_SHOWN.has(key))
    .map(([key, value]) => `${key}=${shorten(typeof value === 'string' ? value : JSON.stringify(value), 120)}`);
  return { level, text: `${colour(String(entry.msg ?? ''))}${facts.length ? ` ${dim(facts.join(' '))}` : ''}` };
}

/** @param {string} line @returns {Record<string, unknown> | undefined} */
function parse(line) {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
