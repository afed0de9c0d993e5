import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

// The picture of the batch is hidden from axe, which would measure the same.

/** WCAG's AA for text of this size. */
const LEAST_CONTRAST = 4.5;
const HUES = Array.from({ length: 360 }, (_, hue) => hue);
const RULES = ['theme', 'page', 'batch']
  .map((name) => readFileSync(new URL(`./${name}.css`, import.meta.url), 'utf8').replace(/\/\*.*?\*\//gs, ''))
  .join('\n')
  .split('}')
  .map((rule) => rule.split('{').map((part) => part.trim()));

type Scheme = 'light' | 'dark';

function declared(selector: string, property: string): string {
  const values = RULES.filter(([of]) => of === selector).flatMap(([, body = '']) =>
    body.split(';').map((line) => line.split(': ').map((part) => part.trim())),
  );
  const value = values.findLast(([name]) => name === property)?.[1];
  if (value === undefined) throw new Error(`no ${property} for ${selector}`);
  return value;
}

/** What a declaration comes to: a hex colour or one in oklch. */
function colourOf(value: string, scheme: Scheme, hue: number): string {
  const known = value.replace(/var\((--[\w-]+)\)/g, (_match, name: string) => {
    if (name === '--hue') return String(hue);
    return colourOf(declared(name.startsWith('--own') ? '[style*="--hue"]' : ':root', name), scheme, hue);
  });
  const [, light, dark] = /^light-dark\((.+), (.+)\)$/.exec(known) ?? [];
  return (scheme === 'light' ? light : dark) ?? known;
}

/** Relative luminance, 0 … 1. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = colour.startsWith('#') ? linearOfHex(colour) : linearOfOklch(colour);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function linearOfHex(colour: string): number[] {
  const bytes = /^#(..)(..)(..)$/.exec(colour)?.slice(1) ?? [];
  return bytes
    .map((byte) => Number.parseInt(byte, 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
}

/** After Björn Ottosson's definition of Oklab; what no screen has is cut off, as browsers do. */
function linearOfOklch(colour: string): number[] {
  const match = /^oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\)$/.exec(colour);
  if (match === null) throw new Error(`no colour: ${colour}`);
  const [percent = 0, chroma = 0, hue = 0] = match.slice(1).map(Number);
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (percent / 100 + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (percent / 100 - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (percent / 100 - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((part) => Math.min(1, Math.max(0, part)));
}

function contrast(one: string, other: string): number {
  const [brighter = 0, darker = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (brighter + 0.05) / (darker + 0.05);
}

it.each(
  (['light', 'dark'] as const).flatMap((scheme) => [
    { scheme, text: '.bar text', on: '.bar .body', property: 'fill' },
    { scheme, text: '.bar.foreign text', on: '.bar.foreign .body', property: 'fill' },
    { scheme, text: '.axis text', on: '.panel', property: 'background' },
  ]),
)('$text can be read on $on when $scheme', ({ scheme, text, on, property }) => {
  const colour = (selector: string, name: string, hue: number) => colourOf(declared(selector, name), scheme, hue);
  const ratios = HUES.map((hue) => contrast(colour(text, 'fill', hue), colour(on, property, hue)));
  expect(Math.min(...ratios)).toBeGreaterThanOrEqual(LEAST_CONTRAST);
});
