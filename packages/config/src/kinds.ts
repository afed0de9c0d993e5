import { z } from 'zod';
import type { Kind } from './setting.ts';

/** A whole number in decimal digits. */
export function integer(min: number, max: number): Kind<number> {
  return {
    schema: z
      .string()
      .regex(/^-?\d{1,16}$/)
      .transform(Number)
      .pipe(z.int().min(min).max(max)),
    expected: `an integer from ${min} to ${max}`,
  };
}

/** One of a few words. */
export function choice<const Word extends string>(words: readonly [Word, ...Word[]]): Kind<Word> {
  return { schema: z.enum(words), expected: `one of ${words.join(', ')}` };
}

/** `true` or `false`, or `1` or `0`. */
export function flag(): Kind<boolean> {
  return {
    schema: z.enum(['true', 'false', '1', '0']).transform((word) => word === 'true' || word === '1'),
    expected: 'true or false',
  };
}

/** Text that matches a pattern; `expected` says the pattern in words. */
export function text(pattern: RegExp, expected: string): Kind<string> {
  return { schema: z.string().regex(pattern), expected };
}

/** An absolute URL with one of the given protocols (without the colon). */
export function url(protocols: readonly string[]): Kind<string> {
  const accepted = (value: string): boolean =>
    URL.canParse(value) && protocols.includes(new URL(value).protocol.slice(0, -1)) && new URL(value).hostname !== '';
  return {
    schema: z.string().refine(accepted),
    expected: `a URL that begins with ${protocols.map((protocol) => `${protocol}://`).join(' or ')}`,
  };
}

/** A decimal number, such as a share. */
export function decimal(least: number, most: number): Kind<number> {
  return {
    schema: z
      .string()
      .regex(/^\d+(\.\d+)?$/)
      .transform(Number)
      .refine((value) => value >= least && value <= most),
    expected: `a number from ${least} to ${most}`,
  };
}

/** The same kind for a setting that may be left unset. */
export function optional<T>(kind: Kind<T>): Kind<T | undefined> {
  return kind;
}
