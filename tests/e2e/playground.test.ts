/// <reference lib="dom" />
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Page, Route } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { Cluster } from '../cluster/cluster.ts';
import { executablePath, openBrowser, picture } from './browser.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const BOARD = 'http://board.example/';
/** Longer than the pause after which the page begins a new picture. */
const PICTURE_PAUSE_MS = 2_000;
/** More than the picture holds. */
const MOST_STEPS_BEFORE = 600;

describe.skipIf(executablePath === undefined)('the playground, in a real browser', () => {
  let cluster: Cluster;
  let browser: Browser;
  let faults: string[] = [];

  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), env: { BOARD_URL: BOARD } });
    browser = await openBrowser();
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await cluster?.stop();
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    const seen = faults;
    faults = [];
    expect(seen, 'errors in the console').toEqual([]);
  });

  /** The page, connected, with everything that goes wrong in it written down. */
  async function open(options: BrowserContextOptions = {}, url = cluster.url): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(url);
    return page;
  }

  async function openLive(options: BrowserContextOptions = {}): Promise<Page> {
    const page = await open(options);
    await page.getByText('live', { exact: true }).waitFor();
    await page.getByLabel('Slots').getByRole('listitem').first().waitFor();
    return page;
  }

  async function sendFifty(page: Page): Promise<void> {
    await page.getByRole('button', { name: 'Send fifty' }).click();
    await page.getByRole('status').getByText('50 answers:').waitFor({ timeout: 60_000 });
  }

  const caption = (page: Page) => page.getByText(/sequences, up to \d+ of 16 slots busy in one step/);
  const largestBatch = async (page: Page): Promise<number> =>
    Number(/up to (\d+) of 16/.exec((await caption(page).textContent()) ?? '')?.[1]);
  const busySlots = (page: Page) => page.getByLabel('Slots').locator('li[data-busy]');

  /** Moves the slider to the first step that the most sequences shared, as the bars have it. */
  async function lookAtFullestStep(page: Page): Promise<void> {
    const rides = await page
      .locator('.timeline .bar')
      .evaluateAll((bars) =>
        bars.map((bar) => [bar.getAttribute('data-joined'), bar.getAttribute('data-left')].map(Number)),
      );
    const riders = (step: number) => rides.filter(([joined = 0, left = 0]) => joined <= step && step <= left).length;
    const steps = rides.map(([joined = 0]) => joined);
    const fullest = steps.toSorted((a, b) => riders(b) - riders(a) || a - b)[0];
    await page.getByLabel('Step to look at').fill(String(fullest));
  }

  it('sends fifty at once, and shows answers and how they shared the batch', { timeout: 120_000 }, async () => {
    const page = await openLive({ colorScheme: 'light' });
    await sendFifty(page);
    const cards = page.getByRole('region', { name: 'Answers' }).getByRole('listitem');
    expect(await cards.count()).toBe(50);
    const unanswered = await cards.filter({ hasNotText: 'joined' }).count();
    expect(unanswered).toBe(0);

    // The frame that tells of the last one may come a moment after its answer.
    await caption(page).getByText('50 sequences').waitFor();
    const most = await largestBatch(page);
    expect(most).toBeGreaterThan(1);
    expect(await page.locator('.timeline .bar').count()).toBe(50);

    // Back to a step that several shared: its slots say who rode in it, in the colours of the answers.
    await lookAtFullestStep(page);
    await expect.poll(() => busySlots(page).count()).toBeGreaterThanOrEqual(most);
    const [slot] = await busySlots(page).all();
    const hue = await slot?.evaluate((element) => getComputedStyle(element).getPropertyValue('--hue'));
    const prompt = (await slot?.locator('.who').textContent()) ?? '';
    const card = cards.filter({ hasText: prompt }).filter({ has: page.locator(':scope') });
    const hues = await card.evaluateAll((all) => all.map((one) => getComputedStyle(one).getPropertyValue('--hue')));
    expect(hues).toContain(hue);
    await picture(page, 'playground-light');
  });

  it('takes one prompt after the other, and shows them in one picture', { timeout: 60_000 }, async () => {
    const page = await openLive();
    await page.getByLabel('Prompt').fill('Tell me a story about a fox and a lantern.');
    // All three reach the server together, however slowly this machine clicks.
    const held: Route[] = [];
    await page.route('**/completions', (route) => {
      held.push(route);
      if (held.length === 3) for (const one of held) void one.continue();
    });
    for (let n = 0; n < 3; n++) await page.getByRole('button', { name: 'Send', exact: true }).click();
    await caption(page).getByText('3 sequences').waitFor();
    await page.getByRole('region', { name: 'Answers' }).getByText('fox').nth(5).waitFor();
  });

  it('can be used with the keyboard alone', { timeout: 60_000 }, async () => {
    const page = await openLive();
    const focused = () => page.evaluate(() => document.activeElement?.closest('label, button, a')?.textContent ?? '');
    const order: string[] = [];
    for (let n = 0; n < 13; n++) {
      await page.keyboard.press('Tab');
      order.push((await focused()).trim());
    }
    const places = ['API', 'Auto', 'Prompt', 'Model', 'Most tokens', 'Temperature', 'Send', 'Send fifty'].map((name) =>
      order.findIndex((text) => text.startsWith(name)),
    );
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places).not.toContain(-1);

    // Stories of the test before, cancelled in the middle, may take a while to stop: what is asked right behind them would
    // share their picture. After a pause with nobody in the batch it has one of its own.
    await page.getByText('0 of 16', { exact: true }).waitFor();
    await page.waitForTimeout(PICTURE_PAUSE_MS);
    await page.getByLabel('Prompt').focus();
    await page.keyboard.press('Control+a');
    await page.keyboard.type('What is 47 + 38?');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('region', { name: 'Answers' }).getByText('85').waitFor();

    // Through its steps: back to the one in which it was prefilled alone, and on to its first token's step.
    await page.getByText('one sequence, up to').waitFor();
    await page.getByLabel('Step to look at').focus();
    const press = async (name: string): Promise<void> => {
      await page.keyboard.press(name);
      await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
    };
    const prefill = page.getByText('prefill', { exact: true }).first();
    // A frame may come after the answer that it tells of: whoever came to the end of the picture begins anew.
    const walk = async (): Promise<boolean> => {
      await press('Home');
      for (let steps = 0; steps < MOST_STEPS_BEFORE && !(await prefill.isVisible()); steps += 1) {
        await press('ArrowRight');
      }
      if (!(await prefill.isVisible())) return false;
      await press('ArrowRight');
      return await page.getByText('decode', { exact: true }).isVisible();
    };
    await expect.poll(walk, { timeout: 40_000 }).toBe(true);
    await page.getByText('1 of 16', { exact: true }).waitFor();
  });

  it('cancels what is on its way, and the slots become free', { timeout: 60_000 }, async () => {
    const page = await openLive();
    await page.getByLabel('Prompt').fill('Tell me a story about a fox and a lantern.');
    // Held back until it was cancelled: a story takes this worker no time.
    await page.route('**/v1/chat/completions', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      await route.continue().catch(() => {});
    });
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('status').getByText('Cancelled: 0 of 1').waitFor();
    await page.getByRole('region', { name: 'Answers' }).getByText('cancelled').waitFor();
    expect(await page.getByRole('button', { name: 'Cancel' }).isDisabled()).toBe(true);

    await page.getByRole('button', { name: 'Send fifty' }).click();
    await page.getByText(/^([2-9]|1\d) of 16$/).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('0 of 16', { exact: true }).waitFor();
    await page
      .getByRole('status')
      .getByText(/Cancelled|50 answers/)
      .waitFor();
  });

  it.each(['light', 'dark'] as const)('has no serious fault for axe when %s', { timeout: 90_000 }, async (scheme) => {
    // Only here, so that axe can be put into the page: every other test runs under the page's own policy.
    const page = await openLive({ colorScheme: scheme, bypassCSP: true });
    await sendFifty(page);
    await lookAtFullestStep(page);
    await page.addScriptTag({ content: AXE });
    const serious = await page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
      interface Violation {
        id: string;
        impact: string | null;
        nodes: { html: string; failureSummary?: string }[];
      }
      const { violations } = await axe.run();
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
    });
    expect(serious).toEqual([]);
    if (scheme === 'dark') await picture(page, 'playground-dark');
  });

  it('follows the system’s theme until another is chosen, and keeps that', async () => {
    const page = await openLive({ colorScheme: 'dark' });
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await paper();
    await page.getByText('Light', { exact: true }).click();
    const light = await paper();
    expect(light).not.toBe(dark);
    await page.reload();
    await page.getByText('live', { exact: true }).waitFor();
    expect(await paper()).toBe(light);
    await page.getByText('Auto', { exact: true }).click();
    expect(await paper()).toBe(dark);
  });

  it('fits a narrow screen, and moves nothing where no motion is wanted', async () => {
    const page = await openLive({ viewport: { width: 360, height: 740 }, reducedMotion: 'reduce' });
    await sendFifty(page);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    // Found and looked at in one go: the picture may draw its bars anew in between.
    const moving = await page.evaluate(() => {
      const bar = document.querySelector('.bar rect');
      return bar === null ? undefined : getComputedStyle(bar).transitionDuration;
    });
    expect(moving).toBe('0s');
  });

  it('links to the board and to the documentation', async () => {
    const page = await openLive();
    expect(await page.getByRole('link', { name: 'Job board' }).getAttribute('href')).toBe(BOARD);
    expect(await page.getByRole('link', { name: 'API' }).getAttribute('href')).toBe('/docs');
  });

  it('lets no script, style or picture in from elsewhere', async () => {
    const page = await openLive();
    const outcomes = await page.evaluate(async () => {
      const broken: string[] = [];
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => broken.push(effectiveDirective));
      const script = document.createElement('script');
      script.textContent = 'globalThis.intruder = true';
      document.head.append(script);
      document.body.setAttribute('onclick', 'globalThis.intruder = true');
      document.body.insertAdjacentHTML('beforeend', '<p style="color: red">styled</p>');
      const image = new Image();
      image.src = 'http://elsewhere.example/spy.png';
      await fetch('http://elsewhere.example/').catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 200));
      return { broken: [...new Set(broken)].sort(), intruded: 'intruder' in globalThis };
    });
    expect(outcomes.intruded).toBe(false);
    expect(outcomes.broken).toEqual(['connect-src', 'img-src', 'script-src-attr', 'script-src-elem', 'style-src-attr']);
    // Each of them was also told in the console, and nothing else was.
    expect(faults.filter((fault) => !/Content Security Policy/i.test(fault))).toEqual([]);
    faults = [];
  });

  it('opens on a model that has a worker, and marks those that have none', { timeout: 60_000 }, async () => {
    const page = await openLive();
    await page.route('**/v1/models', async (route) => {
      const response = await route.fetch();
      const list: { data: { shoal: object }[] } = await response.json();
      const [served] = list.data;
      const left = { ...served, id: 'left/alone', shoal: { ...served?.shoal, workers: 0 } };
      await route.fulfill({ response, json: { ...list, data: [left, ...list.data] } });
    });
    await page.route('**/v1/activity?model=left*', (route) =>
      route.fulfill({ contentType: 'text/event-stream', body: '' }),
    );
    await page.reload();
    await page.getByText('live', { exact: true }).waitFor();
    const model = page.getByRole('combobox', { name: 'Model' });
    expect(await model.inputValue()).not.toBe('left/alone');
    await page.getByRole('status').getByText('Ready.').waitFor();
    await model.selectOption({ label: 'left/alone (no worker)' });
    await page.getByRole('status').getByText('No worker serves left/alone').waitFor();
  });

  it('asks for an API key where one is needed', { timeout: 60_000 }, async () => {
    const api = await cluster.addApi({ API_KEYS: 'acme:a-key-for-acme-1' });
    const page = await open({}, api.url);
    await page.getByRole('status').getByText('asks for an API key').waitFor();
    await page.getByLabel('API key').fill('a-key-for-acme-1');
    await page.keyboard.press('Tab');
    await page.getByText('live', { exact: true }).waitFor();
    await page.getByLabel('Prompt').fill('What is 2 + 2?');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByRole('region', { name: 'Answers' }).getByText('4', { exact: true }).waitFor();
    // The first, keyless question was refused.
    expect(faults.filter((fault) => !fault.includes('401'))).toEqual([]);
    faults = [];
  });
});
