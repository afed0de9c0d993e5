import { afterEach, expect, test, vi } from 'vitest';
import { FixedBatch } from './fixed-batch.ts';

afterEach(() => {
  vi.useRealTimers();
});

function doubling(timeoutMs?: number): { batch: FixedBatch<number, number>; ran: (readonly number[])[] } {
  const ran: (readonly number[])[] = [];
  const run = async (items: readonly number[]): Promise<number[]> => {
    ran.push(items);
    return items.map((item) => 2 * item);
  };
  return { batch: new FixedBatch({ size: 3, timeoutMs, run }), ran };
}

test('without a timeout the remainder is stuck', async () => {
  vi.useFakeTimers();
  const { batch, ran } = doubling();
  const settled: number[] = [];
  for (const item of [1, 2, 3, 4, 5]) void batch.add(item).then((result) => settled.push(result));
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(ran).toEqual([[1, 2, 3]]);
  expect(settled).toEqual([2, 4, 6]);
});

test('with one, an incomplete batch runs when its first item has waited so long', async () => {
  vi.useFakeTimers();
  const { batch, ran } = doubling(50);
  const first = batch.add(1);
  await vi.advanceTimersByTimeAsync(30);
  const second = batch.add(2);
  await vi.advanceTimersByTimeAsync(19);
  expect(ran).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(await Promise.all([first, second])).toEqual([2, 4]);
  await Promise.all([batch.add(3), batch.add(4), batch.add(5)]);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(ran).toEqual([
    [1, 2],
    [3, 4, 5],
  ]);
});
