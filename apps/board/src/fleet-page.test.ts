import type { WorkerReport } from '@shoal/protocol';
import { expect, test } from 'vitest';
import { fleetPage } from './fleet-page.ts';

const card = { maxModelLen: 8, vocabSize: 8, chat: true, revision: 'r', dtype: 'fp32', executionProvider: 'cpu' };
const report: WorkerReport = {
  ...{ worker: 'w<1>', state: 'ready', slots: 16, running: 4, waiting: 0, startedAt: 0 },
  ...{ kvUsedTokens: 25, kvBudgetTokens: 100, tokensPerSecond: 12.4, settings: { MAX_BATCH_SIZE: '8' } },
};

test('workers and settings are shown, and nothing in them is markup', async () => {
  const page = await fleetPage({
    list: async () => [{ card: { name: 'minnow', announcedAt: 0, ...card }, workers: 1 }],
    reports: async () => [report],
    settings: async () => ({ MAX_BATCH_SIZE: '<script>' }),
  });
  for (const shown of ['minnow', '4 of 16', '25 %', '>12<', 'MAX_BATCH_SIZE', 'w&#60;1&#62;'])
    expect(page).toContain(shown);
  expect(page).not.toContain('<script>');
});
