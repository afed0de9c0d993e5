import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { BOARD_PASSWORD, BOARD_USER, Cluster } from '../cluster/cluster.ts';
import { lonePrompt, mixed } from '../minnow/held-out.ts';
import { executablePath, openBrowser, picture } from './browser.ts';
import { ask } from './http.ts';

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

  it.skipIf(executablePath === undefined)('shows the jobs in a real browser', { timeout: 60_000 }, async () => {
    if (browser === undefined) throw new Error('no browser');
    const { jobId } = await ask(cluster.url, lonePrompt());
    const context = await browser.newContext({
      httpCredentials: { username: BOARD_USER, password: BOARD_PASSWORD },
      viewport: { width: 1280, height: 800 },
    });
    const page = await context.newPage();
    await page.goto(cluster.board?.url ?? '');
    await page.getByText('minnow').first().click();
    await page
      .getByText(/completed/i)
      .first()
      .click();
    await page.getByText(jobId).first().waitFor();
    await picture(page, 'board');
    await context.close();
  });
});
