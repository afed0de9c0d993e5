import { describe, expect, test } from 'vitest';
import { answer, MemoryModel } from '../testing/memory-models.ts';
import { testServer } from '../testing/test-server.ts';

const body = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hi' };

describe('the list of jobs', () => {
  const keys = { API_KEYS: 'acme:acme-key-1,beta:beta-key-1' };
  const as = (key: string) => ({ authorization: `Bearer ${key}` });

  async function submitted(prompts: string[], key = 'acme-key-1') {
    const server = testServer({ env: keys });
    server.model.script = ({ prompt }) => (prompt === 'wait' ? undefined : answer('hello', ['hel', 'lo']));
    for (const prompt of prompts) {
      await server.app.inject({ method: 'POST', url: '/v1/jobs', payload: { ...body, prompt }, headers: as(key) });
    }
    return server;
  }

  test('comes newest first, page by page, without results', async () => {
    const { app } = await submitted(['a', 'b', 'c']);
    const list = async (query: string) =>
      (await app.inject({ url: `/v1/jobs${query}`, headers: as('acme-key-1') })).json();
    const first = await list('?limit=2');
    expect(first).toMatchObject({ object: 'list', data: [{ id: 'r3' }, { id: 'r2' }], has_more: true });
    expect(await list(`?limit=2&after=${first.after}`)).toMatchObject({
      ...{ data: [{ id: 'r1', status: 'completed' }], has_more: false, after: null },
    });
  });

  test('can be narrowed to a status', async () => {
    const { app } = await submitted(['a', 'wait', 'b', 'wait']);
    const response = await app.inject({ url: '/v1/jobs?status=queued', headers: as('acme-key-1') });
    expect(response.json().data.map(({ id, status }: { id: string; status: string }) => [id, status])).toEqual([
      ['r4', 'queued'],
      ['r2', 'queued'],
    ]);
  });

  test('is of one’s own jobs, and not of requests whose callers wait', async () => {
    const { app } = await submitted(['a']);
    await app.inject({ method: 'POST', url: '/v1/completions', payload: body, headers: as('beta-key-1') });
    expect((await app.inject({ url: '/v1/jobs', headers: as('beta-key-1') })).json()).toEqual({
      ...{ object: 'list', data: [], has_more: false, after: null },
    });
  });

  test('goes over all models, newest first', async () => {
    const server = testServer();
    Object.assign(server.models, { served: [server.model, new MemoryModel({ name: 'shark' })] });
    for (const model of ['minnow', 'shark', 'minnow', 'shark', 'shark']) {
      await server.app.inject({ method: 'POST', url: '/v1/jobs', payload: { ...body, model } });
    }
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const page = (await server.app.inject(`/v1/jobs?limit=1${after}`)).json();
      seen.push(...page.data.map(({ id }: { id: string }) => id));
      if (!page.has_more) break;
      after = `&after=${page.after}`;
    }
    // Each model counts its milliseconds by itself here.
    expect(seen).toEqual(['r5', 'r3', 'r4', 'r1', 'r2']);
  });

  test.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['status=lost', 'status'],
    ['after=abc', 'after'],
    [`after=${Buffer.from('[1,2]').toString('base64url')}`, 'after'],
  ])('with %s is refused', async (query, param) => {
    const response = await testServer().app.inject(`/v1/jobs?${query}`);
    expect([response.statusCode, response.json().error.param]).toEqual([400, param]);
  });
});
