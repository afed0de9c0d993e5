import { createServer, type RequestListener } from 'node:http';
import { expect, onTestFinished, test, vi } from 'vitest';
import { hangEngine } from './src/faults/hang-engine.ts';
import type { Entry } from './src/ledger/entry.ts';
import { judgeDeadline, judgeDeletion, judgeStops } from './src/ledger/lateness.ts';
import { Ledger } from './src/ledger/ledger.ts';
import type { Terms } from './src/ledger/outcome.ts';
import { Timeline } from './src/ledger/timeline.ts';
import { Client } from './src/load/client.ts';
import { followJob } from './src/load/follow-job.ts';
import { findUnknownJobs } from './src/load/job-list.ts';
import { Random } from './src/random.ts';

// What the ledger must find, and what it must not: the smoke test shows only that a service without faults has none.

const NOW = 1_800_000_000_000;
const TEXT = 'once upon';
const RIGHT = { kind: 'completed', texts: [TEXT], finishReasons: ['stop'] } as const;
const completed = () => ({ ...RIGHT, texts: [...RIGHT.texts], finishReasons: [...RIGHT.finishReasons] });
const cancelled = { kind: 'failed', code: 'cancelled' } as const;

function book(terms: Partial<Terms> = {}): { ledger: Ledger; entry: Entry } {
  const ledger = new Ledger(new Timeline(), { keptMs: 60_000 });
  const expected = { texts: [TEXT], finishReasons: ['stop'] };
  return { ledger, entry: ledger.open('a story', { kind: 'job', expected, allowed: [], ...terms }) };
}

/** The clock stands still, and is moved by hand. */
function clock(): { move(ms: number): void } {
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  return { move: (ms) => void vi.setSystemTime(Date.now() + ms) };
}

async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

test('whoever was accepted and has no end is lost', () => {
  const { ledger, entry } = book();
  entry.accepted('202', 'k-1', Date.now());
  ledger.closeBooks();
  expect(entry.violations).toEqual(['accepted and never answered']);
  ledger.closeBooks();
  expect(ledger.violations).toBe(1);
});

test('whoever was neither accepted nor refused was not served, unless it was told of a full queue', () => {
  const clocks = clock();
  const { ledger, entry } = book();
  const [refused, away, long] = [
    ledger.open('', entry.terms),
    ledger.open('', entry.terms),
    ledger.open('', entry.terms),
  ];
  long.refused(429);
  clocks.move(60_000);
  refused.refused(429);
  away.refused(503);
  ledger.closeBooks();
  expect([entry, refused, away, long].map(({ violations }) => violations.length)).toEqual([1, 0, 1, 1]);
});

test('a client that gives up has been told why', () => {
  const { ledger, entry } = book();
  const [away, heard] = [ledger.open('', entry.terms), ledger.open('', entry.terms)];
  away.refused(503);
  heard.accepted('202', 'k-1', Date.now());
  for (const each of [entry, away, heard]) each.resign();
  ledger.closeBooks();
  expect(entry.violations).toEqual(['gave up, and nobody had said why']);
  expect(away.violations).toEqual([]);
  expect(heard.violations).toEqual(['accepted and never answered']);
});

test('an end that was shown is the end', () => {
  const { entry } = book({ allowed: ['cancelled'] });
  entry.accepted('202', 'k-1', Date.now());
  entry.shown({ status: 'running', attempts: 1 }, Date.now());
  entry.shown({ status: 'cancelled', attempts: 1, finished_at: Date.now() }, Date.now());
  entry.end(completed());
  expect(entry.violations).toEqual(['was shown as cancelled before']);
});

test('but a crash of Redis may take it back', () => {
  const clocks = clock();
  const { ledger, entry } = book({ allowed: ['cancelled'] });
  entry.accepted('202', 'k-1', Date.now());
  clocks.move(1_000);
  const assess = ledger.timeline.crash();
  entry.shown({ status: 'cancelled', attempts: 1 }, Date.now());
  assess(Date.now() - 20, Date.now());
  clocks.move(5_000);
  entry.end(completed());
  expect(entry.violations).toEqual([]);
});

test('a crash that came before, or took nothing of that time, excuses nothing', () => {
  const clocks = clock();
  const { timeline } = book().ledger;
  const assess = timeline.crash();
  expect(timeline.mayHaveLost(0, 1)).toBe(true);
  assess(NOW, NOW + 20);
  clocks.move(1_000);
  expect(timeline.mayHaveLost(NOW + 21, NOW + 500)).toBe(false);
  expect(timeline.mayHaveLost(NOW - 500, NOW - 1)).toBe(false);
  expect(timeline.mayHaveLost(NOW - 500, NOW)).toBe(true);
});

test('a job is known for as long as results are kept', () => {
  const clocks = clock();
  const { ledger, entry } = book();
  const [late, shared] = [ledger.open('', entry.terms), ledger.open('', { ...entry.terms, shared: true })];
  for (const each of [entry, late, shared]) each.accepted('202', `k-${each.number}`, Date.now());
  clocks.move(59_000);
  for (const each of [entry, shared]) each.vanished();
  clocks.move(1_000);
  late.vanished();
  expect([entry, late, shared].map(({ violations }) => violations.length)).toEqual([1, 0, 0]);
});

test('time counts as calm when nobody is disturbed, and has had time to recover', () => {
  const clocks = clock();
  const { timeline } = book().ledger;
  clocks.move(1_000);
  const [one, other] = [timeline.disturb(), timeline.disturb()];
  clocks.move(1_000);
  one();
  clocks.move(1_000);
  other();
  clocks.move(10_000);
  expect(timeline.calmBetween(NOW, Date.now())).toBe(1_000 + 5_000);
  expect(timeline.calmBetween(NOW + 500, NOW + 9_000)).toBe(500 + 1_000);
});

test.each([
  ['in time', 3_000, undefined],
  ['late, as chance has it', 9_000, undefined],
  ['late without an excuse', 30_000, /completed after its deadline/],
])('a request with a deadline is completed %s', (_, finishedAfter, complaint) => {
  const clocks = clock();
  const { entry } = book({ allowed: ['deadline_exceeded'], timeoutMs: 2_000 });
  entry.accepted('202', 'k-1', Date.now());
  clocks.move(finishedAfter);
  entry.end(completed());
  entry.shown({ status: 'completed', attempts: 1, finished_at: Date.now() }, Date.now());
  judgeDeadline(entry);
  expect(entry.violations.join()).toMatch(complaint ?? /^$/);
});

test('a request does not expire before its deadline', () => {
  const clocks = clock();
  const { entry } = book({ allowed: ['deadline_exceeded'], timeoutMs: 2_000 });
  entry.accepted('202', 'k-1', Date.now());
  clocks.move(1_000);
  entry.end({ kind: 'failed', code: 'deadline_exceeded' });
  judgeDeadline(entry);
  expect(entry.violations).toEqual(['expired at least 1000 ms before its deadline']);
});

test.each([
  ['the worker that was told', 1, /ended after its DELETE/],
  ['another one, whenever its turn came', 2, /^$/],
])('a job that goes on for long after its DELETE was ended by %s', (_, claims, complaint) => {
  const clocks = clock();
  const { entry } = book({ allowed: ['cancelled'] });
  entry.accepted('202', 'k-1', Date.now());
  entry.deletion = { httpStatus: 202, at: Date.now(), claims: 1 };
  clocks.move(30_000);
  entry.end(completed());
  entry.shown({ status: 'completed', attempts: claims, finished_at: Date.now() }, Date.now());
  judgeDeletion(entry);
  expect(entry.violations.join()).toMatch(complaint);
});

test.each([
  [0, ['6 requests were deleted while they ran, and none of them was stopped']],
  [1, []],
])('of six deleted requests, some must have been stopped: %i', (stopped, findings) => {
  const { ledger } = book();
  for (let i = 0; i < 6; i++) {
    const entry = ledger.open('', { ...book().entry.terms, allowed: ['cancelled'] });
    entry.deletion = { httpStatus: 202, at: Date.now(), claims: 1 };
    entry.end(i < stopped ? cancelled : completed());
  }
  judgeStops(ledger);
  expect(ledger.findings.map(({ what }) => what)).toEqual(findings);
});

/** An API with one job, whose events and whose look are given. */
async function follow(events: readonly object[], look: () => { status: number; body: object }): Promise<Entry> {
  const url = await serve((request, response) => {
    if (request.url?.endsWith('/events') !== true) {
      const { status, body } = look();
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let position = 0;
    for (const event of events) {
      if ('token_ids' in event && Array.isArray(event.token_ids)) position += event.token_ids.length;
      response.write(`id: ${position}\ndata: ${JSON.stringify(event)}\n\n`);
    }
    response.end();
  });
  const { entry } = book();
  entry.accepted('202', 'k-1', Date.now());
  await followJob(entry, new Client([url], new Random(1)));
  return entry;
}

const tokens = (position: number, ids: number[], text: string) => ({ type: 'tokens', position, token_ids: ids, text });
const result = { text: TEXT, token_ids: [5, 6], finish_reason: 'stop' };
const end = { type: 'completed', result };
const job = { id: 'k-1', status: 'completed', attempts: 1, finished_at: NOW, result };
const shownWell = () => ({ status: 200, body: job });

test('a job whose tokens and result agree, and which another replica confirms, is right', async () => {
  const entry = await follow([tokens(0, [5], 'once'), tokens(1, [6], ' upon'), end], shownWell);
  expect([entry.violations, entry.outcome?.kind, entry.awaiting]).toEqual([[], 'completed', undefined]);
});

test.each([
  ['no token was told', [end]],
  ['the last token was not told', [tokens(0, [5], TEXT), end]],
  ['another token was told', [tokens(0, [5, 7], TEXT), end]],
])('a completed job is wrong when %s', async (_, events) => {
  expect((await follow(events, shownWell)).violations.join()).toMatch(/after position|token ids as read/);
});

test('a job that no replica knows after its end is lost', async () => {
  const unknown = { status: 404, body: { error: { code: 'job_not_found', message: 'there is no such job' } } };
  const entry = await follow([tokens(0, [5, 6], TEXT), end], () => unknown);
  expect(entry.violations.join()).toMatch(/is not known any more/);
});

test('a job that is shown as running after its end is wrong', async () => {
  const running = { status: 200, body: { id: 'k-1', status: 'running', attempts: 2 } };
  const entry = await follow([tokens(0, [5, 6], TEXT), end], () => running);
  expect(entry.violations.join()).toMatch(/another replica tells another end: running/);
});

test('a job that nobody was told of is found in the list', async () => {
  const url = await serve((request, response) => {
    const isFirst = request.url?.includes('after=') !== true;
    const page = isFirst ? { data: [{ id: 'k-1' }], after: 'more' } : { data: [{ id: 'k-2' }], after: null };
    response.end(JSON.stringify(page));
  });
  const { ledger, entry } = book();
  entry.submitted = true;
  entry.accepted('202', 'k-1', Date.now());
  await findUnknownJobs(ledger, url, 1_000);
  expect(ledger.findings.map(({ what }) => what).join()).toMatch(
    /1 of 2 listed jobs belong to no submission, such as k-2/,
  );

  // One whose submission was never answered may be there.
  const unanswered = new Ledger(new Timeline());
  for (const id of ['k-1', undefined]) {
    const each = unanswered.open('', entry.terms);
    each.submitted = true;
    if (id !== undefined) each.accepted('202', id, Date.now());
  }
  await findUnknownJobs(unanswered, url, 1_000);
  expect(unanswered.findings).toEqual([]);
});

test.each([
  ['stays', true, false, 1],
  ['leaves', true, true, 0],
  ['has no work', false, false, 0],
])('a worker whose engine hangs %s', async (_, hung, leaves, findings) => {
  const { ledger } = book();
  let leave = (): void => {};
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const signals: string[] = [];
  const worker = {
    name: 'worker-1',
    hung,
    exited: () => left,
    control: () => {},
    signal: (signal: string) => {
      signals.push(signal);
      leave();
      return true;
    },
  };
  if (leaves) setTimeout(leave, 50);
  await hangEngine(worker, ledger, { stepTimeoutMs: 100, idleLimitMs: 100, marginMs: leaves ? 30_000 : 100 });
  expect([ledger.findings.length, signals.length]).toEqual([findings, findings]);
});
