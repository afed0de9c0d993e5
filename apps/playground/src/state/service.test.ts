import { afterEach, beforeEach, expect, it, vi } from 'vitest';

type Service = typeof import('./service.ts');

/** What the API lists: how many workers each model has. */
let listed: Record<string, number>;
let listings: number;
/** How many streams were opened. */
let streams: number;
let page: EventTarget & { visibilityState: string };

beforeEach(() => {
  [listed, listings, streams] = [{}, 0, 0];
  page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  vi.resetModules();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  vi.stubGlobal('document', page);
  vi.stubGlobal('fetch', async (path: string) => (path === '/v1/models' ? listing() : stream()));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function listing(): Response {
  listings += 1;
  const data = Object.entries(listed).map(([id, workers]) => ({
    ...{ id, max_model_len: 512 },
    shoal: { chat: true, workers },
  }));
  return Response.json({ data });
}

/** A stream that goes on. */
function stream(): Response {
  streams += 1;
  return new Response(new ReadableStream());
}

async function opened(models: Record<string, number>): Promise<Service> {
  listed = models;
  const service = await import('./service.ts');
  await service.loadModels();
  return service;
}

/** So many seconds later, when the models were listed again: others where they are given. */
async function later({ models }: Service, seconds: number, others: Record<string, number> = listed): Promise<void> {
  listed = others;
  const before = models.value;
  await vi.advanceTimersByTimeAsync(seconds * 1_000);
  await vi.waitUntil(() => models.value !== before, { timeout: 10_000 });
}

it('opens on the first model that has a worker', async () => {
  const { model, notice } = await opened({ old: 0, served: 1, other: 2 });
  expect([model.value?.id, notice.value]).toEqual(['served', 'Ready.']);
});

it('says that a model has no worker, and turns to one that gets one', async () => {
  const service = await opened({ old: 0, older: 0 });
  const { model, notice } = service;
  expect([model.value?.id, notice.value]).toEqual(['old', 'No worker serves old now: prompts wait for one.']);
  await later(service, 2, { old: 0, older: 1 });
  expect([model.value?.id, notice.value]).toEqual(['older', 'Ready.']);
});

it('keeps what was chosen or had a worker, and says when its workers come and go', async () => {
  const service = await opened({ a: 1, b: 1, c: 0 });
  const { model, notice, chooseModel } = service;
  await later(service, 30, { a: 0, b: 1, c: 0 });
  expect([model.value?.id, notice.value]).toEqual(['a', 'No worker serves a now: prompts wait for one.']);
  chooseModel('c');
  expect(notice.value).toBe('No worker serves c now: prompts wait for one.');
  await later(service, 30, { a: 1, b: 1, c: 0 });
  expect(model.value?.id).toBe('c');
  await later(service, 30, { a: 1, b: 1, c: 1 });
  expect([model.value?.id, notice.value]).toEqual(['c', 'Ready.']);
});

it('says that a prompt waits for a worker, and stays with the model that was asked', async () => {
  const { send } = await import('./answers.ts');
  const service = await opened({ a: 0, b: 0 });
  void send(['Hello'], { maxTokens: 8, temperature: 0 });
  expect(service.notice.value).toBe('Sent one prompt. No worker serves a now: prompts wait for one.');
  await later(service, 2, { a: 0, b: 1 });
  expect(service.model.value?.id).toBe('a');
});

it('leaves alone what was said of a prompt while nothing changes', async () => {
  const service = await opened({ a: 1 });
  service.notice.value = 'One answer.';
  await later(service, 30);
  expect([listings, service.notice.value]).toEqual([2, 'One answer.']);
});

it('lists no more while nobody sees the page, and at once when somebody does', async () => {
  await opened({ a: 1 });
  page.visibilityState = 'hidden';
  await vi.advanceTimersByTimeAsync(300_000);
  expect(listings).toBe(1);
  page.visibilityState = 'visible';
  page.dispatchEvent(new Event('visibilitychange'));
  await vi.waitUntil(() => listings === 2, { timeout: 10_000 });
});

it('goes on with one list only, however often it was asked for', async () => {
  const service = await opened({ a: 1 });
  await Promise.all([service.loadModels(), service.loadModels()]);
  const before = listings;
  await later(service, 30);
  expect(listings - before).toBe(1);
});

it('streams on in the same stream while the models are listed again', async () => {
  const { startWatching } = await import('./activity.ts');
  const service = await opened({ a: 1, b: 1 });
  startWatching();
  await later(service, 30, { a: 2, b: 0 });
  expect([listings, streams]).toEqual([2, 1]);
});
