const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
];
const DAY_MS = 86_400_000;

const padded = (value: number, width = 2): string => String(value).padStart(width, '0');
const dayName = (date: Date): string => DAYS[date.getUTCDay()] ?? '';
const monthName = (date: Date): string => MONTHS[date.getUTCMonth()] ?? '';
const dayOfYear = (date: Date): number => (date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS;

type Directive = (date: Date) => string;

/** What Python knows on Linux, but for the weeks of a year. A time zone has no name there unless a date brings one. */
const DIRECTIVES: Readonly<Record<string, Directive>> = {
  a: (date) => dayName(date).slice(0, 3),
  A: dayName,
  b: (date) => monthName(date).slice(0, 3),
  B: monthName,
  c: (date) => strftime('%a %b %e %H:%M:%S %Y', date.getTime()),
  d: (date) => padded(date.getUTCDate()),
  D: (date) => strftime('%m/%d/%y', date.getTime()),
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  f: (date) => padded(date.getUTCMilliseconds() * 1000, 6),
  F: (date) => strftime('%Y-%m-%d', date.getTime()),
  h: (date) => monthName(date).slice(0, 3),
  H: (date) => padded(date.getUTCHours()),
  I: (date) => padded(((date.getUTCHours() + 11) % 12) + 1),
  j: (date) => padded(Math.floor(dayOfYear(date)) + 1, 3),
  m: (date) => padded(date.getUTCMonth() + 1),
  M: (date) => padded(date.getUTCMinutes()),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  R: (date) => strftime('%H:%M', date.getTime()),
  S: (date) => padded(date.getUTCSeconds()),
  T: (date) => strftime('%H:%M:%S', date.getTime()),
  u: (date) => String(date.getUTCDay() === 0 ? 7 : date.getUTCDay()),
  w: (date) => String(date.getUTCDay()),
  x: (date) => strftime('%m/%d/%y', date.getTime()),
  X: (date) => strftime('%H:%M:%S', date.getTime()),
  y: (date) => padded(date.getUTCFullYear() % 100),
  Y: (date) => String(date.getUTCFullYear()),
  z: () => '',
  Z: () => '',
  '%': () => '%',
};

/**
 * Python's `strftime` in UTC and in English, whatever the machine's clock, time zone and language. `%-d` leaves out what
 * pads; an unknown directive stays as it is.
 *
 * @param at Unix time in milliseconds
 */
export function strftime(format: string, at: number): string {
  const date = new Date(at);
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, bare: string, name: string) => {
    const text = DIRECTIVES[name]?.(date) ?? whole;
    return bare === '' ? text : text.replace(/^[0 ]+(?=.)/, '');
  });
}
