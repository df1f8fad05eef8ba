import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { BROWSER_TIMEOUT_MS, describeWithBrowser, launchBrowser } from '../support/browser.js';
import { DashboardPage, startOpenDashboardApp } from '../support/dashboard-page.js';
import type { TestApp } from '../support/nest-app.js';
import { queued } from '../support/semaphores.js';

const KEY = 'reports';
const viewport = { width: 375, height: 812 };

describeWithBrowser('the page of a semaphore on a phone', () => {
  let browser: Browser;
  let app: TestApp;

  beforeAll(async () => {
    app = await startOpenDashboardApp();
    await app.semaphores.acquire(KEY, { permits: 9, weight: 9, leaseMs: 600_000, renew: false });
    const label = 'an urgent order that was imported at night';
    for (const options of [{ label, priority: 12, weight: 3 }, { label: 'usual' }]) {
      await queued(app.semaphores, () =>
        app.semaphores.acquire(KEY, { ...options, permits: 9, waitMs: Infinity }),
      );
    }
    browser = await launchBrowser();
  }, BROWSER_TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await app?.close();
  }, BROWSER_TIMEOUT_MS);

  test(
    'shows the priority and the weight of who waits, first and in full, to screen readers too',
    async () => {
      await using dashboard = await DashboardPage.open(browser, app, { viewport });
      await dashboard.show(KEY);
      await dashboard.untilTexts('.queue .label', [
        'an urgent order that was imported at night',
        'usual',
      ]);
      const [urgent = '', usual = ''] = await dashboard.texts('.more-of-waiter');
      expect(urgent).toMatch(/^priority\s12 · weight\s3 · /);
      expect(usual).not.toMatch(/priority|weight/);
      const cut = `[...document.querySelectorAll('.who-waits, .who-waits *')]
        .filter((e) => e.scrollWidth > e.clientWidth && getComputedStyle(e).overflow !== 'visible').length`;
      expect(await dashboard.evaluate(cut)).toBe(0);
      const ofHost = `[...document.querySelectorAll('.client, td.is-client')].filter((e) => {
        e.textContent = 'payments-api-7d9f8b6c5d-x2x4z:12345:0a1b2c3d';
        return e.scrollWidth > e.clientWidth;
      }).length`;
      expect(await dashboard.evaluate(ofHost)).toBe(0);
      await dashboard.page.setViewportSize({ width: 1280, height: 800 });
      expect(await dashboard.evaluate(ofHost)).toBe(0);
      await dashboard.page.setViewportSize(viewport);
      const waits = `[...document.querySelectorAll('.queue td:nth-child(6)')].map((e) => {
        e.textContent = '23 h 59 m';
        return e.scrollWidth - e.clientWidth;
      })`;
      expect(await dashboard.evaluate(waits)).toEqual([0, 0]);
      const cell = dashboard.page.getByRole('cell', { name: /urgent order.+priority\s12/ });
      expect(await cell.count()).toBe(1);
      await dashboard.page.setViewportSize({ width: 320, height: 568 });
      const room = `document.querySelector('.who-waits').clientWidth`;
      expect(await dashboard.evaluate(room)).toBeGreaterThan(200);
      expect(await cell.count()).toBe(1);
      expect(await dashboard.page.getByRole('columnheader', { name: 'Waits' }).count()).toBe(1);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    'keeps on one line whether the store answers, and shows the name of the visitor however long it is',
    async () => {
      await using dashboard = await DashboardPage.open(browser, app, { viewport });
      await dashboard.show(KEY);
      const heights = `['Live', 'Store down', 'Reconnecting'].map((text) => {
        document.querySelector('#who').textContent = 'a visitor with a name of many words';
        document.querySelector('#live').textContent = text;
        return document.querySelector('#live').offsetHeight;
      })`;
      const [one, ...others] = await dashboard.evaluate<number[]>(heights);
      expect(others).toEqual([one, one]);
      const cut = `(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('#who'))`;
      expect(await dashboard.evaluate(cut)).toBe(0);
      const dot = `getComputedStyle(document.querySelector('#live'), '::before').width`;
      expect(await dashboard.evaluate(dot)).toBe('7px');
      const width = await dashboard.evaluate<number>('document.documentElement.scrollWidth');
      expect(width).toBe(viewport.width);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    'keeps the names of fields whole, and their text so large that iPhones do not zoom in',
    async () => {
      const narrow = { width: 320, height: 568 };
      await using dashboard = await DashboardPage.open(browser, app, {
        viewport: narrow,
        isMobile: true,
        hasTouch: true,
      });
      const sizes = (selector: string): Promise<number[]> =>
        dashboard.evaluate(
          `[...document.querySelectorAll('${selector}')].map((e) => parseFloat(getComputedStyle(e).fontSize))`,
        );
      await dashboard.show();
      expect(Math.min(...(await sizes('input, select')))).toBe(16);
      await dashboard.show(KEY);
      await dashboard.page.getByRole('button', { name: 'Change the limit…' }).click();
      expect(await sizes('#permits')).toEqual([16]);
      const lines = `(() => {
        const range = document.createRange();
        range.selectNodeContents(document.querySelector('.field label'));
        return range.getClientRects().length;
      })()`;
      expect(await dashboard.evaluate(lines)).toBe(1);
      const cut = `(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('dialog'))`;
      expect(await dashboard.evaluate(cut)).toBe(0);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    'plots fit the paper, although they are not drawn again for it',
    async () => {
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(KEY);
      await dashboard.until(`document.querySelectorAll('.chart canvas').length === 3`);
      await dashboard.page.emulateMedia({ media: 'print' });
      const beyond = await dashboard.evaluate<number[]>(`(() => {
        document.querySelector('.plots').style.width = '330px';
        return [...document.querySelectorAll('.chart')].map(
          (chart) => chart.querySelector('canvas').getBoundingClientRect().right - chart.getBoundingClientRect().right,
        );
      })()`);
      expect(Math.max(...beyond)).toBeLessThan(1);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    'draws how long a permit is held and what is left of its lease on one scale',
    async () => {
      await using dashboard = await DashboardPage.open(browser, app, { viewport });
      await app.semaphores.acquire('scale', { leaseMs: 40_000, renew: false });
      await dashboard.show('scale');
      const seconds = (selector: string): string =>
        `parseInt(document.querySelector('${selector}')?.textContent.replace(/\\D+/, ''))`;
      const length = (selector: string): string =>
        `parseFloat(document.querySelector('${selector}').style.getPropertyValue('--length'))`;
      await dashboard.until(`${seconds('.held')} >= 2`);
      const [held, left, past, future] = (await dashboard.evaluate<number[]>(
        `[${seconds('.held')}, ${seconds('.left')}, ${length('.past')}, ${length('.future')}]`,
      )) as [number, number, number, number];
      // Of either time only the whole seconds are told.
      expect(past / future).toBeGreaterThanOrEqual((held / (left + 1)) * 0.99);
      expect(past / future).toBeLessThanOrEqual(((held + 1) / left) * 1.01);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    'shows its bars in forced colours and on paper, too',
    async () => {
      await using dashboard = await DashboardPage.open(browser, app, { viewport });
      const bars = async (key: string | undefined, names: string[]): Promise<string[]> => {
        await dashboard.show(key);
        await dashboard.page
          .locator(names[0] as string)
          .first()
          .waitFor();
        return dashboard.evaluate(`${JSON.stringify(names)}.map((name) => {
          const style = getComputedStyle(document.querySelector(name));
          return style.backgroundColor + ' ' + style.printColorAdjust;
        })`);
      };
      const ofList = (): Promise<string[]> => bars(undefined, ['.fill', '.track']);
      const ofKey = (): Promise<string[]> => bars(KEY, ['.past', '.future']);
      const usual = [...(await ofList()), ...(await ofKey())];
      await dashboard.page.emulateMedia({ forcedColors: 'active' });
      expect([...(await ofList()), ...(await ofKey())]).toEqual(usual);
      expect(new Set(usual).size).toBe(usual.length);
      for (const bar of usual) expect(bar).toMatch(/ exact$/);
      const ink = 'getComputedStyle(document.documentElement).color';
      await dashboard.page.emulateMedia({ forcedColors: 'none', colorScheme: 'light' });
      const dark = await dashboard.evaluate(ink);
      await dashboard.page.emulateMedia({ colorScheme: 'dark' });
      expect(await dashboard.evaluate(ink)).not.toBe(dark);
      await dashboard.page.emulateMedia({ media: 'print' });
      expect(await dashboard.evaluate(ink)).toBe(dark);
    },
    BROWSER_TIMEOUT_MS,
  );
});
