import { expect, test } from 'vitest';
import { LoginAttempts } from './login-attempts.ts';

function attemptsAt() {
  const clock = { now: 0 };
  const attempts = new LoginAttempts(() => clock.now);
  const wrong = (address: string, times: number) => {
    for (let time = 0; time < times; time++) attempts.note(address);
  };
  return { clock, attempts, wrong };
}

test('ten wrong passwords refuse an address until its minute is over', () => {
  const { clock, attempts, wrong } = attemptsAt();
  wrong('192.0.2.1', 9);
  expect(attempts.waitMs('192.0.2.1')).toBe(0);
  clock.now = 20_000;
  expect(attempts.note('192.0.2.1')).toBe(10);
  expect([attempts.waitMs('192.0.2.1'), attempts.waitMs('192.0.2.2')]).toEqual([40_000, 0]);
  clock.now = 60_000;
  expect(attempts.waitMs('192.0.2.1')).toBe(0);
  expect(attempts.note('192.0.2.1')).toBe(1);
});

test('an IPv6 network counts as one address, an IPv4 address as the same on every socket', () => {
  const { attempts, wrong } = attemptsAt();
  wrong('2001:db8::1', 5);
  wrong('2001:db8:0:0:ffff::2', 5);
  expect(attempts.waitMs('2001:db8::3:4:5:6')).toBe(60_000);
  expect(attempts.waitMs('2001:db8:0:1::1')).toBe(0);
  wrong('::ffff:192.0.2.1', 10);
  expect([attempts.waitMs('192.0.2.1'), attempts.waitMs('::ffff:192.0.2.2')]).toEqual([60_000, 0]);
});

test('of more addresses than are remembered, the one that began longest ago is forgotten', () => {
  const { attempts, wrong } = attemptsAt();
  for (const first of ['192.0.2.1', '192.0.2.2']) wrong(first, 10);
  for (let address = 0; address < 9_999; address++) attempts.note(`10.0.${address >> 8}.${address & 255}`);
  expect([attempts.waitMs('192.0.2.1'), attempts.waitMs('192.0.2.2')]).toEqual([0, 60_000]);
});
