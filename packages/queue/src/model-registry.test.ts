import { randomUUID } from 'node:crypto';
import { expect, inject, it } from 'vitest';
import { openRegistry } from './model-registry.ts';
import { eventually } from './testing/waiting.ts';

const card = {
  name: 'minnow',
  maxModelLen: 256,
  vocabSize: 128,
  chat: true,
  revision: 'abc',
  dtype: 'fp32',
  executionProvider: 'cpu',
};

it('lists announced models with their live workers, and knows a model whose workers left', async () => {
  const options = { redisUrl: inject('redisUrl'), prefix: `test-${randomUUID()}` };
  const workers = openRegistry(options);
  const api = openRegistry(options);
  expect(await api.list()).toEqual([]);
  const first = workers.announce('one', card);
  const second = workers.announce('two', card);
  workers.announce('three', { ...card, name: 'carp' });
  await eventually(
    'three announcements',
    async () => (await api.list()).reduce((sum, { workers: n }) => sum + n, 0) === 3,
  );
  const listed = await api.list();
  expect(listed.map((model) => [model.card.name, model.workers])).toEqual([
    ['carp', 1],
    ['minnow', 2],
  ]);
  expect(listed[1]?.card).toMatchObject(card);
  await Promise.all([first(), second()]);
  expect((await api.list()).map((model) => model.workers)).toEqual([1, 0]);
  workers.close();
  api.close();
});
