import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { BROWSER_TIMEOUT_MS, describeWithBrowser, launchBrowser } from '../support/browser.js';
import { DashboardPage, startOpenDashboardApp } from '../support/dashboard-page.js';
import type { TestApp } from '../support/nest-app.js';

const DAY_MS = 86_400_000;
const TIMEOUT_MS = 2 * BROWSER_TIMEOUT_MS;

describeWithBrowser('what the page of the dashboard makes of odd values', () => {
  let app: TestApp;
  let browser: Browser;

  beforeAll(async () => {
    app = await startOpenDashboardApp();
    browser = await launchBrowser();
  }, TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await app?.close();
  }, TIMEOUT_MS);

  test(
    'what nobody would see of keys and labels is shown by its code',
    async () => {
      const shown = new Map([
        ['\u202egnp.exe', '\\u{202e}gnp.exe'],
        ['   ', '␣␣␣'],
        [' a  b ', '␣a␣ b␣'],
        ['\u200b', '\\u{200b}'],
        ['a\tb\u2028c\u00a0d', 'a\\u{9}b\\u{2028}c\\u{a0}d'],
        ['\u3164', '\\u{3164}'],
        ['a\u034fb\u2800', 'a\\u{34f}b\\u{2800}'],
        ['\u26a0\ufe0f a\ufe0f', '\u26a0\ufe0f a\\u{fe0f}'],
        ['👩🏽\u200d💻 a\u200db', '👩🏽\u200d💻 a\\u{200d}b'],
        ['tenant: Zoë 漢', 'tenant: Zoë 漢'],
      ]);
      for (const key of shown.keys()) await app.semaphores.acquire(key, { label: key });
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show();
      await dashboard.until(`document.querySelectorAll('.rows .key').length === ${shown.size}`);
      expect(new Set(await dashboard.texts('.rows .key'))).toEqual(new Set(shown.values()));
      for (const text of shown.values()) {
        expect(await dashboard.page.getByTitle(text, { exact: true }).count()).toBe(1);
      }
      for (const [key, text] of shown) {
        await dashboard.show(key);
        await dashboard.untilTexts('h1', [text]);
        await dashboard.untilTexts('.holder .label', [text]);
        expect(await dashboard.page.title()).toBe(`${text} · Semaphores`);
      }
      await dashboard.page.getByRole('button', { name: 'Change the limit…' }).click();
      await dashboard.untilTexts('dialog .subject', ['tenant: Zoë 漢']);
    },
    TIMEOUT_MS,
  );

  test(
    'figures of any size stay in their places, on a phone too',
    async () => {
      const key = 'huge';
      await app.semaphores.setPermits(key, Number.MAX_SAFE_INTEGER);
      await app.semaphores.acquire(key, { permits: 123_456, weight: 123_456 });
      await using dashboard = await DashboardPage.open(browser, app);
      const cut = `[...document.querySelectorAll('.tiles :is(dt, dd), .meter')]
        .filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent)`;
      const staysOnScreens = async (): Promise<void> => {
        await dashboard.untilTexts(':is(.row:has([title="huge"]), .detail) .meter-text', [
          '123.5K / 9007.2T',
        ]);
        for (const width of [1280, 360]) {
          await dashboard.page.setViewportSize({ width, height: 800 });
          expect(await dashboard.evaluate(cut)).toEqual([]);
        }
      };
      await dashboard.show();
      await staysOnScreens();
      await dashboard.show(key);
      await staysOnScreens();
      const exact = dashboard.page.getByTitle('123,456 / 9,007,199,254,740,991');
      expect(await exact.count()).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    'times of another day have a date, and the page says in which zone they are',
    async () => {
      await app.semaphores.acquire('k', { leaseMs: Infinity });
      const timezoneId = 'Asia/Kolkata';
      await using dashboard = await DashboardPage.open(browser, app, { timezoneId });
      await dashboard.page.clock.install({ time: Date.now() + 3 * DAY_MS });
      await dashboard.show('k');
      const time = String.raw`\d+ [A-Z]\w+( \d{4})?, \d\d:\d\d:\d\d`;
      expect(await dashboard.page.locator('#source').textContent()).toMatch(
        new RegExp(`since ${time}\\. Times of day are in GMT\\+5:30\\.$`),
      );
      const [since] = await dashboard.texts('.holder .since');
      expect(since).toMatch(new RegExp(`^since ${time}$`));
    },
    TIMEOUT_MS,
  );

  test(
    'a key that is not listed can be opened by its name',
    async () => {
      const key = `Nobody <b>uses</b> this ${'x'.repeat(300)}`;
      await app.semaphores.acquire('somebody uses this');
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show();
      await dashboard.page.getByLabel('Search keys').fill(key);
      await dashboard.page.getByText('No key in the list contains this text.').waitFor();
      const isTooWide = 'document.documentElement.scrollWidth > innerWidth';
      expect(await dashboard.evaluate(isTooWide)).toBe(false);
      await dashboard.page.getByRole('link', { name: `Open “${key}”` }).click();
      await dashboard.untilTexts('h1', [key]);
      await dashboard.page.getByText('Nobody holds a permit.').waitFor();
    },
    TIMEOUT_MS,
  );
});
