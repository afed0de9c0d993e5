import { describe, expect, it } from 'vitest';
import type { Sequence } from '../sequence.ts';
import { TestRandom } from '../testing/random.ts';
import { SlotTable } from './slot-table.ts';

/** As much of a sequence as the table looks at. */
function row(id: string, computed: number): Sequence {
  return { id, computed, slot: undefined } as Sequence;
}

describe('SlotTable', () => {
  it('keeps rows compact, decoding ones first, and its moves carry every row along', () => {
    const table = new SlotTable(6);
    const random = new TestRandom(1);
    /** What the cache rows hold, if the moves are made as told. */
    const cache: string[] = [];
    for (let i = 0; i < 2000; i++) {
      const sequence = row(`s${i}`, i);
      if (table.free > 0) {
        table.take(sequence);
        cache[sequence.slot ?? -1] = sequence.id;
      }
      const waiting = table.rows[table.decoding];
      if (waiting !== undefined && random.next() < 0.5) table.promote(waiting);
      const leaver = table.rows[random.integer(0, 7)];
      if (leaver !== undefined) table.release(leaver);
      for (const { from, to, length } of table.takeMoves()) {
        cache[to] = cache[from] ?? '';
        expect(length).toBe(table.rows.find((candidate) => candidate.id === cache[to])?.computed ?? length);
      }
      expect(table.rows.map((owner) => owner.slot)).toEqual(table.rows.map((_, slot) => slot));
      expect(table.rows.map((owner) => owner.id)).toEqual(cache.slice(0, table.size));
      expect(table.decoding).toBeLessThanOrEqual(table.size);
    }
  });

  it('refuses a sequence more than it has rows, a foreign one, and one promoted out of turn', () => {
    const table = new SlotTable(2);
    const [first, second] = [row('a', 0), row('b', 0)];
    table.take(first);
    table.take(second);
    expect(() => table.take(row('c', 0))).toThrow('no free slot');
    expect(() => table.release(row('d', 0))).toThrow('owns no slot');
    expect(() => table.promote(second)).toThrow('not the next row');
  });

  it('tells which rows fell free, once', () => {
    const table = new SlotTable(3);
    const rows = [row('a', 1), row('b', 2), row('c', 3)];
    for (const sequence of rows) table.take(sequence);
    table.release(rows[0] as Sequence);
    expect(table.takeFreed()).toEqual([2]);
    expect(table.takeFreed()).toEqual([]);
    table.release(rows[1] as Sequence);
    table.take(row('e', 0));
    expect(table.takeFreed()).toEqual([]);
  });
});
