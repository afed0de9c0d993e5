// How the scripts speak: colours and live lines on a terminal, plain lines anywhere else.

const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
export const interactive = Boolean(process.stdout.isTTY) && TERM !== 'dumb';
const coloured = !NO_COLOR && (interactive || Boolean(FORCE_COLOR && FORCE_COLOR !== '0'));

/** @param {number} open @param {number} close @returns {(text: string) => string} */
const style = (open, close) => (text) => (coloured ? `\u001b[${open}m${text}\u001b[${close}m` : text);

export const bold = style(1, 22);
export const dim = style(2, 22);
export const red = style(31, 39);
export const green = style(32, 39);
export const yellow = style(33, 39);
export const blue = style(34, 39);
export const magenta = style(35, 39);
export const cyan = style(36, 39);

export const TICK = green('✓');
export const CROSS = red('✗');

/** @param {string} [line] */
export function say(line = '') {
  process.stdout.write(`${line}\n`);
}

/** @param {number} startedAt From performance.now(). */
export function secondsSince(startedAt) {
  return `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
}

/**
 * Announces a piece of work, does it, and says how long it took. On a terminal the two share one line.
 * @template T
 * @param {string} title
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const startedAt = performance.now();
  if (interactive) process.stdout.write(`  ${dim('…')} ${title}`);
  const clear = interactive ? '\r\u001b[2K' : '';
  try {
    const result = await work();
    process.stdout.write(`${clear}  ${TICK} ${title} ${dim(`(${secondsSince(startedAt)})`)}\n`);
    return result;
  } catch (error) {
    process.stdout.write(`${clear}  ${CROSS} ${title} ${dim(`(${secondsSince(startedAt)})`)}\n`);
    throw error;
  }
}

/** Columns that a line may fill. */
export function columns() {
  return interactive ? Math.max(60, process.stdout.columns || 80) : 110;
}

/** Width of a text without its colours. @param {string} text */
function width(text) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins a colour code
  return [...text.replace(/\u001b\[\d+m/g, '')].length;
}

/** @param {string} text @param {number} size @param {'left' | 'right'} [side] */
export function pad(text, size, side = 'left') {
  const space = ' '.repeat(Math.max(0, size - width(text)));
  return side === 'left' ? text + space : space + text;
}

/** One line of at most `size` characters. @param {string} text @param {number} size */
export function shorten(text, size) {
  const characters = [...text.replace(/\s+/g, ' ').trim()];
  return characters.length <= size ? characters.join('') : `${characters.slice(0, size - 1).join('')}…`;
}

/**
 * A table of aligned columns under a dim header.
 * @param {{ title: string, side?: 'left' | 'right' }[]} heads
 * @param {string[][]} rows
 */
export function table(heads, rows) {
  const sizes = heads.map((head, i) => Math.max(width(head.title), ...rows.map((row) => width(row[i] ?? ''))));
  const line = (/** @type {string[]} */ cells) =>
    `  ${cells.map((cell, i) => pad(cell, sizes[i] ?? 0, heads[i]?.side)).join('  ')}`.trimEnd();
  return [dim(line(heads.map((head) => head.title))), ...rows.map(line)].join('\n');
}
