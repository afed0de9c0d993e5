import type { Setting } from './setting.ts';

/** What stands where a secret was. */
export const MASK = '***';

/** Longest value that an error message repeats. */
const MAX_SHOWN = 120;

/**
 * Hides the credentials of a URL, well-formed or not: what stands before the last `@` when it holds a colon, and
 * `password=…` parameters.
 */
export function maskCredentials(value: string): string {
  return value
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)?[\s\S]*@/i, (before, scheme = '') =>
      scheme !== '' || before.includes(':') ? `${scheme}${MASK}@` : before,
    )
    .replace(/([?&](?:password|token|secret)=)[^&#]*/gi, `$1${MASK}`);
}

/** A setting's value as it may be shown to anyone. */
export function maskValue(setting: Setting<unknown>, value: string): string {
  if (setting.secret === true) return MASK;
  const masked = maskCredentials(value);
  return masked.length > MAX_SHOWN ? `${masked.slice(0, MAX_SHOWN)}…` : masked;
}
