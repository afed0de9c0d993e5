import { describe, expect, it } from 'vitest';
import { strftime } from './strftime.ts';

/** A Tuesday. */
const AT = Date.UTC(2025, 2, 4, 15, 6, 7, 89);

describe('strftime', () => {
  // As Python says them with LC_ALL=C.
  it.each([
    ['%d %b %Y', '04 Mar 2025'],
    ['%d %B %Y', '04 March 2025'],
    ['%B %d, %Y', 'March 04, 2025'],
    ['%Y-%m-%d', '2025-03-04'],
    ['%A, %a', 'Tuesday, Tue'],
    ['%H:%M:%S.%f', '15:06:07.089000'],
    ['%I %p', '03 PM'],
    ['%j %u %w %y', '063 2 2 25'],
    ['%c', 'Tue Mar  4 15:06:07 2025'],
    ['%F %T|%D %R|%x %X|%e|%h', '2025-03-04 15:06:07|03/04/25 15:06|03/04/25 15:06:07| 4|Mar'],
    ['%-d/%-m %-I %e', '4/3 3  4'],
    ['100%% %z%Z', '100% '],
    ['%Q stays, so does a lone %', '%Q stays, so does a lone %'],
  ])('%s is %s', (format, expected) => {
    expect(strftime(format, AT)).toBe(expected);
  });

  it('knows midnight, noon, the last day of a leap year and Sundays', () => {
    expect(strftime('%I %p %-H', Date.UTC(2024, 0, 1))).toBe('12 AM 0');
    expect(strftime('%I %p', Date.UTC(2024, 0, 1, 12))).toBe('12 PM');
    expect(strftime('%j', Date.UTC(2024, 11, 31, 23, 59, 59, 999))).toBe('366');
    expect(strftime('%A %u %w', Date.UTC(2025, 2, 9))).toBe('Sunday 7 0');
  });
});
