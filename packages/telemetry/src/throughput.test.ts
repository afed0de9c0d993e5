import { expect, test } from 'vitest';
import { Throughput } from './throughput.ts';

test('tokens of the last ten seconds count, and no others', () => {
  let now = 5_000;
  const throughput = new Throughput(() => now);
  throughput.add(30);
  now = 9_000;
  throughput.add(20);
  expect(throughput.perSecond).toBe(5);
  now = 15_500;
  expect(throughput.perSecond).toBe(2);
  throughput.add(10);
  expect(throughput.perSecond).toBe(3);
  now = 60_000;
  expect(throughput.perSecond).toBe(0);
});
