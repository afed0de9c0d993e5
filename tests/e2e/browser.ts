import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { findBrowser } from '../../scripts/browser.mjs';

/** Path of a Chromium or Chrome, or undefined after one line that says that browser tests are left out. */
export const executablePath: string | undefined = await findBrowser({ log: console.log });

export async function openBrowser(): Promise<Browser> {
  if (executablePath === undefined) throw new Error('no browser');
  const quiet = ['--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  return await chromium.launch({ executablePath, args: ['--no-sandbox', ...quiet] });
}

/** `SCREENSHOTS=1 npm test -- tests/e2e` renews the pictures in the docs; otherwise nothing is written. */
export async function picture(page: Page, name: string): Promise<void> {
  if (process.env['SCREENSHOTS'] !== '1') return;
  const folder = fileURLToPath(new URL('../../docs/images', import.meta.url));
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png` });
}
