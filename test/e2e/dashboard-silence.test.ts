import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Browser, Route } from 'playwright-core';
import { BROWSER_TIMEOUT_MS, describeWithBrowser, launchBrowser } from '../support/browser.js';
import { DashboardPage, startOpenDashboardApp } from '../support/dashboard-page.js';
import type { TestApp } from '../support/nest-app.js';
import { pollUntil } from '../support/redis-admin.js';

/** How long the page waits to be told why its stream has broken. */
const PATIENCE_MS = 5_000;
const FIRST_RETRY_MS = 1_000;
/** A server that has said nothing for so long is taken for gone. */
const SILENCE_MS = 25_000;

describeWithBrowser('a page whose stream has broken', () => {
  let app: TestApp;
  let browser: Browser;
  let dashboard: DashboardPage;

  beforeEach(async () => {
    app = await startOpenDashboardApp();
    browser = await launchBrowser();
    dashboard = await DashboardPage.open(browser, app);
  }, BROWSER_TIMEOUT_MS);

  afterEach(async () => {
    await browser?.close();
    await app?.close();
  }, BROWSER_TIMEOUT_MS);

  test(
    'says so, and comes back, although nobody answers why',
    async () => {
      const { page } = dashboard;
      await page.clock.install();
      await page.route('**/api/stream?*', (route) => route.abort());
      const asked = new Promise<void>((resolve) => {
        void page.route('**/api/overview?*', () => resolve());
      });
      await page.goto(`${app.url}/semaphores/`);
      await asked;
      await page.clock.runFor(PATIENCE_MS);
      await dashboard.untilTexts('#live', ['Reconnecting']);
      const [since] = await dashboard.texts('#problem');
      const states = await dashboard.watchStates();
      const askedAgain = page.waitForRequest('**/api/overview?*');
      await page.clock.runFor(FIRST_RETRY_MS);
      await askedAgain;
      await page.clock.runFor(PATIENCE_MS / 2);
      const lasted = `parseInt(document.getElementById('lasted').textContent.slice(1))`;
      expect(await dashboard.evaluate(lasted)).toBeGreaterThanOrEqual(3);
      await page.clock.runFor(PATIENCE_MS / 2);
      await pollUntil('it was told again', async () => (await states()).includes('lost'));
      expect(await dashboard.texts('#problem')).toEqual([since]);
      await page.unroute('**/api/stream?*');
      await page.clock.runFor(2 * FIRST_RETRY_MS);
      await dashboard.untilTexts('#live', ['Live']);
    },
    2 * BROWSER_TIMEOUT_MS,
  );

  test(
    'is live when somebody looks at something else before it is told why',
    async () => {
      const { page } = dashboard;
      await page.route('**/api/stream?search=*', (route) => route.abort());
      let answer!: Route;
      const asked = new Promise<void>((resolve) => {
        void page.route('**/api/overview?*', (route) => {
          answer = route;
          resolve();
        });
      });
      await page.goto(`${app.url}/semaphores/`);
      await asked;
      const states = await dashboard.watchStates();
      await dashboard.show('k');
      await page.unroute('**/api/overview?*');
      const answered = page.waitForResponse('**/api/overview?*');
      await answer.continue();
      await answered;
      await dashboard.evaluate('new Promise((done) => setTimeout(done))');
      expect(await states()).not.toContain('lost');
    },
    2 * BROWSER_TIMEOUT_MS,
  );

  test(
    'is live for as long as it hears of the server, and paused while nobody sees it',
    async () => {
      const { page } = dashboard;
      await page.clock.install();
      await dashboard.show('k');
      const states = await dashboard.watchStates();
      for (const label of ['one', 'two']) {
        await app.semaphores.acquire('k', { permits: 2, label });
        await page.getByText(label, { exact: true }).waitFor();
        await page.clock.runFor(SILENCE_MS - 10_000);
      }
      expect(await states()).not.toContain('lost');
      for (const [hidden, text] of [
        [true, 'Paused'],
        [false, 'Live'],
      ] as const) {
        await dashboard.evaluate(`(() => {
          Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true });
          document.dispatchEvent(new Event('visibilitychange'));
        })()`);
        await dashboard.untilTexts('#live', [text]);
      }
      await page.clock.runFor(SILENCE_MS);
      await dashboard.untilTexts('#live', ['Reconnecting']);
    },
    2 * BROWSER_TIMEOUT_MS,
  );
});
