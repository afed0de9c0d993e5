import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Cluster } from '../cluster/cluster.ts';
import { executablePath, openBrowser, picture } from './browser.ts';

describe.skipIf(executablePath === undefined)('the playground, in a real browser', () => {
  let cluster: Cluster;
  let browser: Browser;
  let page: Page;
  const faults: string[] = [];

  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl') });
    browser = await openBrowser();
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(cluster.url);
    await page.locator('#model option[value=minnow]').waitFor({ state: 'attached' });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await cluster?.stop();
  });

  it('streams the answer to a prompt, sent from the keyboard', async () => {
    await page.getByLabel('Prompt').fill('What is 47 + 38?');
    await page.keyboard.press('Control+Enter');
    await page.locator('#answers li').first().getByText('85').waitFor({ timeout: 20_000 });
  });

  it('sends fifty at once, and shows answers that rode together', { timeout: 60_000 }, async () => {
    await page.getByRole('button', { name: 'Send fifty' }).click();
    await expect.poll(() => page.locator('#answers li').count(), { timeout: 30_000 }).toBeGreaterThanOrEqual(50);
    await page.locator('#stop:disabled').waitFor({ state: 'attached', timeout: 30_000 });
    expect(await page.locator('#batches').textContent()).toMatch(/\d/);
    await picture(page, 'playground');
  });

  it('breaks no rule of its own content security policy', () => {
    expect(faults).toEqual([]);
  });
});
