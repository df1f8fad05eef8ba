import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { BROWSER_TIMEOUT_MS, describeWithBrowser, launchBrowser } from '../support/browser.js';
import { pollUntil } from '../support/redis-admin.js';
import { mostAtOnce, PREPARE_TIMEOUT_MS, prepareSampleApp, SampleApp } from './sample-app.js';

describeWithBrowser('the start page', () => {
  let app: SampleApp;
  let browser: Browser;

  beforeAll(async () => {
    await prepareSampleApp();
    app = await SampleApp.start();
    browser = await launchBrowser();
  }, PREPARE_TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await app?.stop('SIGKILL');
  });

  test.each([
    { device: 'a desktop', width: 1280, height: 900, colorScheme: 'light' as const },
    { device: 'a phone', width: 375, height: 812, colorScheme: 'dark' as const },
  ])(
    'draws 30 requests of which 3 run at once, on $device',
    async ({ width, height, colorScheme }) => {
      const before = (await app.runs()).length;
      const page = await browser.newPage({ viewport: { width, height }, colorScheme });
      try {
        const problems = watch(page, app.url);
        await page.goto(app.url);
        await page.getByRole('button', { name: 'Send 30 requests' }).click();

        // While it goes on.
        await until(page, `${count('running')} === 3 && ${count('waiting')} > 10`);
        expect(await page.getByRole('button', { name: 'Send 30 requests' }).isDisabled()).toBe(
          true,
        );
        await expectNoSidewaysScroll(page, width);

        await until(page, `/^30 of 30 finished/.test(${textOf('status')})`);
        expect(await page.locator('#status').textContent()).toBe(
          '30 of 30 finished, none rejected. Never more than 3 at once.',
        );
        const counters = { waiting: 0, running: 0, most: 3, finished: 30, rejected: 0 };
        for (const [id, value] of Object.entries(counters)) {
          expect(await page.locator(`#${id}`).textContent()).toBe(`${value}`);
        }
        expect(await page.getByRole('button', { name: 'Send 30 requests' }).isEnabled()).toBe(true);
        await expectNoSidewaysScroll(page, width);

        const bars = await runningBars(page);
        expect(bars).toHaveLength(30);
        expect(mostAtOnce(bars)).toBe(3);
        const focused = 'document.activeElement.textContent';
        expect(await page.evaluate(focused)).toBe('Send 30 requests');
        const bar = `getComputedStyle(document.querySelector('#bars .ran')).backgroundColor`;
        const color = await page.evaluate(bar);
        await page.emulateMedia({ forcedColors: 'active' });
        expect(await page.evaluate(bar)).toBe(color);
        expect(problems).toEqual([]);
      } finally {
        await page.close();
      }
      const runs = (await app.runs()).slice(before);
      expect(runs).toHaveLength(30);
      expect(mostAtOnce(runs)).toBe(3);
    },
    2 * BROWSER_TIMEOUT_MS,
  );

  test(
    'says so when the server cannot be reached',
    async () => {
      const page = await browser.newPage();
      try {
        await page.goto(app.url);
        await page.route('**/demo/bursts*', (route) => route.abort());
        await page.getByRole('button', { name: 'Send 30 requests' }).click();
        await page.getByRole('alert').filter({ hasText: 'The burst did not end well' }).waitFor();
        expect(await page.getByRole('button', { name: 'Send 30 requests' }).isEnabled()).toBe(true);
      } finally {
        await page.close();
      }
    },
    BROWSER_TIMEOUT_MS,
  );
});

/** What the browser complains about, and whatever it loads from elsewhere. */
function watch(page: Page, url: string): string[] {
  const problems: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText;
    // Chromium may call a stream aborted that was read to its end; one that was not makes the page complain.
    if (reason !== 'net::ERR_ABORTED') problems.push(`${request.url()} failed: ${reason}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) problems.push(`${request.url()} is elsewhere`);
  });
  return problems;
}

/** The page's Content-Security-Policy lets nobody evaluate text inside of it, so it is asked from outside. */
function until(page: Page, expression: string): Promise<void> {
  return pollUntil(expression, () => page.evaluate<boolean>(expression), BROWSER_TIMEOUT_MS);
}

function textOf(id: string): string {
  return `document.getElementById('${id}').textContent`;
}

function count(id: string): string {
  return `Number(${textOf(id)})`;
}

async function expectNoSidewaysScroll(page: Page, width: number): Promise<void> {
  const scrollWidth = await page.evaluate<number>('document.documentElement.scrollWidth');
  expect(scrollWidth).toBeLessThanOrEqual(width);
}

/** Where the running parts of the bars begin and end, in percent of the axis. */
async function runningBars(page: Page): Promise<{ enteredAt: number; leftAt: number }[]> {
  const bars = await page.evaluate<[left: string, width: string][]>(
    `[...document.querySelectorAll('#bars .ran')].map(({ style }) => [style.left, style.width])`,
  );
  return bars.map(([left, width]) => {
    const from = Number.parseFloat(left);
    // Both are rounded to 0.01: by that much two that follow each other may overlap.
    return { enteredAt: from, leftAt: from + Number.parseFloat(width) - 0.02 };
  });
}
