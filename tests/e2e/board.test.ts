import { openBullQueue } from '@shoal/queue';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { waitUntil } from '../../scripts/system/bounded.mjs';
import { BOARD_PASSWORD, BOARD_USER, Cluster } from '../cluster/cluster.ts';
import { lonePrompt, mixed } from '../minnow/held-out.ts';
import { executablePath, openBrowser, picture } from './browser.ts';
import { ask, insist } from './http.ts';

/** The board's buttons are icons without a name. */
const icon = (page: Page, name: 'refresh-cw' | 'trash2' | 'files'): Locator =>
  page.locator(`button:has(svg.lucide-${name})`);

/** What changes a queue is asked for twice. */
async function confirm(page: Page): Promise<void> {
  await page
    .getByRole('button', { name: /confirm|yes|ok/i })
    .last()
    .click();
}

describe('the board', () => {
  let cluster: Cluster;
  let browser: Browser | undefined;

  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), board: true });
    await Promise.all(mixed(6).map((row) => ask(cluster.url, row)));
    if (executablePath !== undefined) browser = await openBrowser();
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await cluster?.stop();
  });

  it('asks for credentials', async () => {
    const url = cluster.board?.url ?? '';
    const wrong = `Basic ${Buffer.from(`${BOARD_USER}:wrong`).toString('base64')}`;
    expect((await fetch(url)).status).toBe(401);
    expect((await fetch(url, { headers: { authorization: wrong } })).status).toBe(401);
    expect((await fetch(`${url}/api/queues`)).status).toBe(401);
  });

  /** A page of the board, logged in. */
  async function openPage(url: string): Promise<Page> {
    if (browser === undefined) throw new Error('no browser');
    const context = await browser.newContext({
      httpCredentials: { username: BOARD_USER, password: BOARD_PASSWORD },
      viewport: { width: 1280, height: 800 },
    });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    await page.goto(url);
    return page;
  }

  const inBrowser = it.skipIf(executablePath === undefined);

  inBrowser('shows the jobs in a real browser', { timeout: 60_000 }, async () => {
    const { jobId } = await ask(cluster.url, lonePrompt());
    const page = await openPage(cluster.board?.url ?? '');
    await page.getByText('minnow').first().click();
    await page
      .getByText(/completed/i)
      .first()
      .click();
    await page.getByText(jobId).first().waitFor();
    await picture(page, 'board');
  });

  inBrowser('shows a job with its prompt and its answer, readable', { timeout: 60_000 }, async () => {
    const row = lonePrompt();
    const { jobId, text } = await ask(cluster.url, row);
    const page = await openPage(`${cluster.board?.url}/queue/minnow/${jobId}`);
    await page.getByText(jobId).first().waitFor();
    const shows = async (wanted: string) => ((await page.textContent('body')) ?? '').includes(wanted);
    expect(await waitUntil(() => shows(row.prompt), { limitMs: 10_000, everyMs: 100 })).toBe(true);
    expect(await shows(text.trim())).toBe(true);
    await picture(page, 'board-job');
  });

  inBrowser('pauses a queue, and what is asked meanwhile waits', { timeout: 60_000 }, async () => {
    const page = await openPage(`${cluster.board?.url}/queue/minnow`);
    await page.getByText('generate', { exact: true }).first().waitFor();
    await page.locator('button[aria-haspopup=menu]').last().click();
    await page.getByRole('menuitem', { name: /^pause/i }).click();
    await confirm(page);
    const queue = openBullQueue({ redisUrl: inject('redisUrl'), prefix: cluster.prefix, model: 'minnow' });
    onTestFinished(() => queue.close());
    expect(await waitUntil(() => queue.isPaused(), { limitMs: 10_000, everyMs: 50 })).toBe(true);
    const body = { endpoint: '/v1/completions', model: 'minnow', prompt: 'hello', max_tokens: 4 };
    const { id } = (await (await insist(`${cluster.url}/v1/jobs`, body)).json()) as { id: string };
    await picture(page, 'board-paused');
    const state = async () => (await queue.getJob(id))?.getState();
    expect(await state()).toBe('prioritized');
    await queue.resume();
    expect(await waitUntil(async () => (await state()) === 'completed', { limitMs: 15_000, everyMs: 100 })).toBe(true);
  });

  inBrowser('retries a job from its beginning', { timeout: 60_000 }, async () => {
    const { jobId } = await ask(cluster.url, lonePrompt());
    const queue = openBullQueue({ redisUrl: inject('redisUrl'), prefix: cluster.prefix, model: 'minnow' });
    onTestFinished(() => queue.close());
    const before = await queue.getJob(jobId);
    const page = await openPage(`${cluster.board?.url}/queue/minnow/${jobId}`);
    await page.getByText(jobId).first().waitFor();
    await icon(page, 'refresh-cw').click();
    await confirm(page);
    const again = async () => {
      const job = await queue.getJob(jobId);
      return job?.finishedOn !== undefined && job.finishedOn > (before?.finishedOn ?? 0);
    };
    expect(await waitUntil(again, { limitMs: 15_000, everyMs: 100 })).toBe(true);
    const after = await queue.getJob(jobId);
    expect(after?.returnvalue.text).toBe(before?.returnvalue.text);
    expect(after?.returnvalue.resumes).toBeUndefined();
  });

  inBrowser('says why a job is not duplicated', { timeout: 60_000 }, async () => {
    const { jobId } = await ask(cluster.url, lonePrompt());
    const page = await openPage(`${cluster.board?.url}/queue/minnow/${jobId}`);
    await page.getByText(jobId).first().waitFor();
    await icon(page, 'files').click();
    await page.getByRole('button', { name: 'Duplicate' }).click();
    await page.getByText('run a job again with "shoal replay ID"').waitFor();
  });

  inBrowser('shows workers and settings', { timeout: 60_000 }, async () => {
    const page = await openPage(`${cluster.board?.url}/fleet`);
    await page.getByText('MAX_BATCH_SIZE').first().waitFor();
    await page.getByText('ready').first().waitFor();
    await picture(page, 'board-fleet');
  });

  inBrowser('has no buttons where it is read-only', { timeout: 60_000 }, async () => {
    const { jobId } = await ask(cluster.url, lonePrompt());
    const board = await cluster.addBoard({ BOARD_READ_ONLY: 'true' });
    const page = await openPage(`${board.url}/queue/minnow/${jobId}`);
    await page.getByText(jobId).first().waitFor();
    expect(await icon(page, 'refresh-cw').count()).toBe(0);
    expect(await icon(page, 'trash2').count()).toBe(0);
    const authorization = `Basic ${Buffer.from(`${BOARD_USER}:${BOARD_PASSWORD}`).toString('base64')}`;
    const url = `${board.url}/api/queues/minnow/${jobId}/retry`;
    expect((await fetch(url, { method: 'PUT', headers: { authorization } })).status).toBe(405);
  });
});
