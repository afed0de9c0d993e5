import { Engine } from '@shoal/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Generated, generate, greedy, MODEL_DIRECTORY } from './engine-requests.ts';
import { heldOutPrompts, isRight, mixed } from './held-out.ts';

describe('minnow through our own engine', () => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await Engine.load({ modelDirectory: MODEL_DIRECTORY, maxBatchSize: 16, maxQueueDelayMs: 0 });
  });
  afterAll(() => engine?.close());

  it('answers at least 95 % of 1,000 held-out prompts exactly, and no family under 85 %', {
    timeout: 240_000,
  }, async () => {
    const rows = heldOutPrompts();
    expect(rows).toHaveLength(1000);
    const answers = await Promise.all(rows.map((row) => generate(engine, greedy(row))));

    const families = new Map<string, { right: number; all: number; wrong: string[] }>();
    for (const [index, row] of rows.entries()) {
      const family = families.get(row.family) ?? { right: 0, all: 0, wrong: [] };
      families.set(row.family, family);
      family.all += 1;
      const text = answers[index]?.text ?? '';
      if (isRight(row, text)) family.right += 1;
      else family.wrong.push(`${JSON.stringify(row.prompt)} → ${JSON.stringify(text)}`);
    }
    const table = [...families].map(([name, { right, all }]) => `${name.padEnd(16)} ${right}/${all}`).join('\n');
    const right = [...families.values()].reduce((sum, family) => sum + family.right, 0);
    console.log(`${table}\n${'all'.padEnd(16)} ${right}/${rows.length}`);

    expect(families.size).toBeGreaterThanOrEqual(8);
    expect(right, table).toBeGreaterThanOrEqual(950);
    for (const [name, family] of families) {
      expect(family.right / family.all, `${name}:\n${family.wrong.join('\n')}`).toBeGreaterThanOrEqual(0.85);
    }
  });

  it('answers 64 mixed prompts in batches byte for byte as one by one', async () => {
    const rows = mixed(64);
    const together = await Promise.all(rows.map((row) => generate(engine, greedy(row))));
    const alone: Generated[] = [];
    for (const row of rows) alone.push(await generate(engine, greedy(row)));
    expect(together).toEqual(alone);
  });
});
