import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { findBrowser } from '../../scripts/browser.mjs';
import { BOARD_PASSWORD, BOARD_USER, Cluster } from '../cluster/cluster.ts';
import { mixed } from '../minnow/held-out.ts';
import { ask } from './http.ts';

// `SCREENSHOTS=1 npm test -- tests/e2e/board.test.ts` renews the pictures in the docs.
const pictures = process.env['SCREENSHOTS'] === '1' ? fileURLToPath(new URL('../../docs/images', import.meta.url)) : '';

const executablePath = await findBrowser({ log: console.log });

describe('the board', () => {
  let cluster: Cluster;
  let browser: Browser | undefined;

  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), board: true });
    await Promise.all(mixed(6).map((row) => ask(cluster.url, row)));
    if (executablePath === undefined) return;
    const quiet = ['--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', ...quiet] });
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
    await page.getByText('generate').first().waitFor();
    expect(await page.locator('body').innerText()).toMatch(/#?[A-Za-z0-9_-]{8,}/);
    if (pictures !== '') {
      await mkdir(pictures, { recursive: true });
      await page.screenshot({ path: `${pictures}/board.png` });
    }
    await context.close();
  });
});
