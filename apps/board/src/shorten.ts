/** Longest text that the board shows of one field, in characters. */
const MAX_TEXT = 1_000;
/** Most elements of an array, and fields of an object. */
const MAX_ELEMENTS = 50;
const MAX_DEPTH = 8;

/**
 * A value as the board shows it: long texts, long arrays and deep objects cut, with a note of what is missing. A board
 * that renders whole prompts freezes the browser.
 */
export function shorten(value: unknown, depth: number = 0): unknown {
  if (typeof value === 'string') return shortenText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '… (deeper levels left out)';
  if (Array.isArray(value)) {
    const shown = value.slice(0, MAX_ELEMENTS).map((element) => shorten(element, depth + 1));
    return value.length > MAX_ELEMENTS ? [...shown, `… (${value.length - MAX_ELEMENTS} more)`] : shown;
  }
  const fields = Object.entries(value);
  const shown = fields.slice(0, MAX_ELEMENTS).map(([name, field]) => [shortenText(name), shorten(field, depth + 1)]);
  if (fields.length > MAX_ELEMENTS) shown.push(['…', `(${fields.length - MAX_ELEMENTS} more)`]);
  return Object.fromEntries(shown);
}

function shortenText(text: string): string {
  if (text.length <= MAX_TEXT) return text;
  return `${text.slice(0, MAX_TEXT)}… (${text.length - MAX_TEXT} more characters)`;
}
