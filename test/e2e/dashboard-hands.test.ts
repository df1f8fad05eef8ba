import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Browser, Route } from 'playwright-core';
import { BROWSER_TIMEOUT_MS, describeWithBrowser, launchBrowser } from '../support/browser.js';
import { DashboardPage, startDashboardApp } from '../support/dashboard-page.js';
import type { TestApp } from '../support/nest-app.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { aborted, nextEvent, queued, rejection } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const TIMEOUT_MS = 2 * BROWSER_TIMEOUT_MS;
/** The page searches so long after the last key. */
const SEARCH_DELAY_MS = 200;

describeWithBrowser('the page of the dashboard, in the hands of an operator', () => {
  let redis: RedisServer;
  let browser: Browser;
  let app: TestApp;
  let key: string;

  beforeAll(async () => {
    redis = await startRedis();
    app = await startDashboardApp(redis.url, uniquePrefix());
    browser = await launchBrowser();
  }, TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await app?.close();
    await redis?.stop();
  }, TIMEOUT_MS);

  beforeEach(() => {
    key = uniquePrefix('key');
  });

  test(
    'can be worked by keyboard alone: find a semaphore, open it, think better of it, and release',
    async () => {
      const permit = await app.semaphores.acquire(key, { label: 'stuck' });
      await using dashboard = await DashboardPage.open(browser, app);
      const { keyboard } = dashboard.page;
      const isAt = (pattern: RegExp): string =>
        `${pattern}.test(document.activeElement.ariaLabel ?? document.activeElement.textContent)`;
      const focused = (pattern: RegExp): Promise<void> => dashboard.until(isAt(pattern));
      const tabTo = async (pattern: RegExp): Promise<void> => {
        for (let i = 0; i < 20 && !(await dashboard.evaluate<boolean>(isAt(pattern))); i++) {
          await keyboard.press('Tab');
        }
        await focused(pattern);
      };
      await dashboard.show();
      expect(await dashboard.evaluate('document.activeElement === document.body')).toBe(true);
      await keyboard.press('/');
      await focused(/^Search keys$/);
      await keyboard.type(`/${key}`);
      const search = dashboard.page.getByLabel('Search keys');
      expect(await search.inputValue()).toBe(`/${key}`);
      await search.press('Home');
      await keyboard.press('Delete');
      await dashboard.untilTexts('.rows .key', [key]);
      await tabTo(new RegExp(`^${key}$`));
      await keyboard.press('Enter');
      await dashboard.untilTexts('.holder .label', ['stuck']);
      await dashboard.page.locator('#skip').press('Enter');
      expect(await dashboard.evaluate('document.activeElement.id')).toBe('main');
      expect(await dashboard.texts('h1')).toEqual([key]);

      await tabTo(/^Release the permit of stuck/);
      await keyboard.press('Enter');
      await focused(/^Cancel$/);
      await keyboard.press('Escape');
      await dashboard.page.getByRole('dialog').waitFor({ state: 'detached' });
      await focused(/^Release the permit of stuck/);
      expect(permit.isHeld).toBe(true);

      await keyboard.press('Enter');
      await tabTo(/^Release by force$/);
      await keyboard.press('Enter');
      await aborted(permit.signal);
      await dashboard.page.getByText('Nobody holds a permit.').waitFor();
      await focused(/^Holders/);
      expect(dashboard.problems).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'opens a semaphore that was found by a key typed a moment before, however late the page hears of it',
    async () => {
      const permit = await app.semaphores.acquire(key);
      await using dashboard = await DashboardPage.open(browser, app);
      const { page } = dashboard;
      const content = `addEventListener('hashchange', (event) => event.stopImmediatePropagation(), { once: true })`;
      await page.addInitScript({ content });
      await dashboard.show();
      const link = `.rows .key[title="${key}"]`;
      await page.locator(link).waitFor();
      await dashboard.evaluate(`new Promise((resolve) => {
        const search = document.querySelector('#search');
        search.value = '${key}';
        search.dispatchEvent(new Event('input'));
        document.querySelector('${link}').click();
        setTimeout(resolve, ${2 * SEARCH_DELAY_MS});
      })`);
      expect(new URL(page.url()).hash).toBe(`#/s/${key}`);
      await dashboard.evaluate(`dispatchEvent(new Event('hashchange'))`);
      await dashboard.untilTexts('h1', [key]);
      await permit.release();
    },
    TIMEOUT_MS,
  );

  test(
    'says what came of an act although its dialog was closed before',
    async () => {
      const permit = await app.semaphores.acquire(key, { label: 'stuck' });
      await using dashboard = await DashboardPage.open(browser, app);
      const { page } = dashboard;
      let refuse: () => Promise<void> = async () => undefined;
      const isAsked = new Promise<void>((resolve) => {
        void page.route('**/api/release', (route) => {
          refuse = () => route.fulfill({ status: 503, json: { message: 'Not now' } });
          resolve();
        });
      });
      await dashboard.show(key);
      await page.getByRole('button', { name: 'Release the permit of stuck…' }).click();
      await page.getByRole('button', { name: 'Release by force' }).click();
      await isAsked;
      expect(await page.locator('dialog button:enabled').count()).toBe(0);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      await refuse();
      await dashboard.untilTexts('#toast', ['Release by force: Not now']);
      expect(await permit.release()).toBe('released');
    },
    TIMEOUT_MS,
  );

  test(
    'leaves the focus on the button of an act that was refused, until somebody leaves the page',
    async () => {
      await using dashboard = await DashboardPage.open(browser, app);
      const { page } = dashboard;
      await page.route('**/api/limit', (route) =>
        route.fulfill({ status: 503, json: { message: 'Not now' } }),
      );
      await dashboard.show(key);
      await page.getByRole('button', { name: 'Change the limit…' }).click();
      await page.getByRole('button', { name: 'Set the limit' }).press('Enter');
      await page.getByRole('alert').getByText('Not now').waitFor();
      expect(await dashboard.evaluate('document.activeElement.textContent')).toBe('Set the limit');
      await dashboard.evaluate(`location.hash = '#/'`);
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    },
    TIMEOUT_MS,
  );

  test(
    'leaves the focus beside a waiter that was dropped',
    async () => {
      await app.semaphores.acquire(key);
      const waits: Promise<unknown>[] = [];
      for (const label of ['first', 'second', 'third', 'fourth']) {
        const { outcome } = await queued(app.semaphores, () =>
          app.semaphores.acquire(key, { label, waitMs: Infinity }),
        );
        waits.push(rejection(outcome));
      }
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(key);
      await dashboard.untilTexts('.queue .label', ['first', 'second', 'third', 'fourth']);
      const answerLate = async (route: Route): Promise<void> => {
        const response = await route.fetch();
        await dashboard.untilTexts('.queue .label', ['first', 'third', 'fourth']);
        await route.fulfill({ response });
      };
      await dashboard.page.route('**/api/drop', answerLate, { times: 1 });
      for (const [label, next] of [
        ['second', 'Drop the waiter third…'],
        ['fourth', 'Drop the waiter third…'],
        ['third', 'Drop the waiter first…'],
        ['first', 'Queue (0)'],
      ] as const) {
        await dashboard.page.getByRole('button', { name: `Drop the waiter ${label}…` }).focus();
        await dashboard.page.keyboard.press('Enter');
        const confirm = dashboard.page.getByRole('button', { name: 'Drop from the queue' });
        await confirm.focus();
        await dashboard.page.keyboard.press('Enter');
        await dashboard.until(
          `(document.activeElement.ariaLabel ?? document.activeElement.textContent) === '${next}'`,
        );
      }
      await Promise.all(waits);
      expect(dashboard.problems).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'leaves the focus where it is when somebody before it goes',
    async () => {
      const before = await app.semaphores.acquire(key, { permits: 3, label: 'before' });
      for (const label of ['it', 'after']) {
        await app.semaphores.acquire(key, { permits: 3, label });
      }
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(key);
      await dashboard.untilTexts('.holder .label', ['before', 'it', 'after']);
      await dashboard.page.getByRole('button', { name: 'Release the permit of it…' }).focus();
      await before.release();
      await dashboard.untilTexts('.holder .label', ['it', 'after']);
      const focused = 'document.activeElement.ariaLabel';
      expect(await dashboard.evaluate(focused)).toBe('Release the permit of it…');
    },
    TIMEOUT_MS,
  );

  test(
    'shows rejections and losses, and sorts by them, on a desktop and on a phone',
    async () => {
      const [calm, busy] = [`${key}-a`, `${key}-b`];
      await app.semaphores.acquire(calm);
      const lost = nextEvent(app.semaphores, 'lost');
      await app.semaphores.acquire(busy, { leaseMs: 50, renew: false });
      await lost;
      await app.semaphores.acquire(busy);
      for (let i = 0; i < 3; i++) await app.semaphores.tryAcquire(busy);

      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show();
      await dashboard.page.getByLabel('Search keys').fill(key);
      await dashboard.untilTexts('.rows .key', [calm, busy]);
      await dashboard.untilTexts('.rows .cell.is-rejected', ['0', '3']);
      await dashboard.untilTexts('.rows .cell.is-lost', ['0', '1']);
      const { page } = dashboard;
      const sorted = (by: string): Promise<void> =>
        dashboard.until(
          `document.querySelector('.head .is-${by}').getAttribute('aria-sort') === 'descending'`,
        );
      await page.getByRole('button', { name: 'Rejected' }).click();
      await sorted('rejected');
      await dashboard.untilTexts('.rows .key', [busy, calm]);
      await page.getByRole('button', { name: 'Rejected' }).click();
      await dashboard.untilTexts('.rows .key', [calm, busy]);
      await page.getByRole('button', { name: 'Rejected' }).click();
      await dashboard.untilTexts('.rows .key', [busy, calm]);
      await page.getByRole('button', { name: 'Semaphore' }).click();
      await dashboard.untilTexts('.rows .key', [calm, busy]);

      await page.setViewportSize({ width: 375, height: 812 });
      await page.getByLabel('Sort by').selectOption('Lost');
      await sorted('lost');
      await dashboard.untilTexts('.rows .key', [busy, calm]);
      expect(await dashboard.texts('.rows .cell.is-rejected:visible')).toEqual(['3']);
      expect(await dashboard.texts('.rows .cell.is-lost:visible')).toEqual(['1']);

      const isAsItWas = async (): Promise<void> => {
        await dashboard.untilTexts('.rows .key', [busy, calm]);
        await sorted('lost');
        expect(await page.getByLabel('Search keys').inputValue()).toBe(key);
      };
      await page.reload();
      await isAsItWas();
      await page.getByRole('link', { name: busy, exact: true }).click();
      await page.getByRole('link', { name: 'All semaphores' }).click();
      await isAsItWas();
      await page.goBack();
      await dashboard.untilTexts('h1', [busy]);
      await page.goBack();
      await isAsItWas();
      await page.getByRole('link', { name: 'Semaphores', exact: true }).click();
      await dashboard.until(`document.querySelector('#search').value === ''`);
      expect(dashboard.problems).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'what was not read yet is no nought, and a full semaphore is marked when somebody waits',
    async () => {
      const counts = { rejected: 0, lost: 0 };
      const known = { permits: 2, held: 1, waiting: 0, oldestWaitSince: null };
      const rows = [
        { key: 'known', state: known, ...counts },
        { key: 'unknown', state: null, ...counts },
        { key: 'full', state: { ...known, held: 2 }, ...counts },
        { key: 'crowded', state: { ...known, held: 2, waiting: 1 }, ...counts },
        { key: 'over', state: { ...known, held: 3 }, ...counts },
        { key: 'none', state: { ...known, permits: 0, held: 0 }, ...counts },
      ];
      const totals = {
        keys: 6,
        lookedAt: 5,
        held: 1,
        waiting: 0,
        oldestWaitSince: null,
        ...counts,
      };
      const overview = { offset: 0, matching: 6, rows, totals, complete: true, cut: false };
      const now = Date.now();
      const frame = JSON.stringify({ now, storeNow: now, storeDown: null, overview });
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.page.route('**/api/stream?*', (route) =>
        route.fulfill({
          contentType: 'text/event-stream',
          body: `event: frame\ndata: ${frame}\n\n`,
        }),
      );
      await dashboard.page.goto(`${app.url}/semaphores/`);
      await dashboard.untilTexts(
        '.rows .key',
        rows.map((row) => row.key),
      );
      const meters = ['1 / 2', '–', '2 / 2', '2 / 2', '3 / 2', '0 / –'];
      expect(await dashboard.texts('.rows .meter-text')).toEqual(meters);
      expect(await dashboard.texts('.rows .cell:nth-child(3)')).toEqual([
        '0',
        '–',
        '0',
        '1',
        '0',
        '0',
      ]);
      expect(await dashboard.texts('.rows .is-oldest')).toEqual(['', '–', '', '', '', '']);
      const partial = 'Figures of 5 of 6 keys so far';
      expect(await dashboard.texts('.partial')).toEqual([partial]);

      const shown = `[...document.querySelectorAll('.rows .meter')].map(
        (e) => e.className + ' ' + e.querySelector('.fill').style.getPropertyValue('--share'))`;
      expect(await dashboard.evaluate(shown)).toEqual([
        'meter 50%',
        'meter 0%',
        'meter 100%',
        'meter is-full 100%',
        'meter is-over 100%',
        'meter 0%',
      ]);
      const untouched = `import('./dom.js').then(({ setText }) => {
        const [{ firstChild }, key] = Array(2).fill(document.querySelector('.rows .key'));
        setText(key, key.textContent);
        return key.firstChild === firstChild;
      })`;
      expect(await dashboard.evaluate(untouched)).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'tells beside the plots what they show: times, throughput, rejections and losses',
    async () => {
      for (let i = 0; i < 4; i++) {
        const permit = await app.semaphores.acquire(key);
        await rejection(app.semaphores.acquire(key, { waitMs: 100 }));
        await permit.release();
      }
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(key);
      await dashboard.until(`document.querySelectorAll('.chart canvas').length === 3`);
      const [wait = '', hold = '', counts] = await dashboard.texts('.summary');
      expect(counts?.replaceAll('\u00a0', ' ')).toBe('4 acquired, 4 rejected (4 timeout), 0 lost');
      expect(wait).toMatch(/^p50\s[\d.]+\sms, p95\s/);
      const [, held] = /^p50\s([\d.]+)\sms/.exec(hold) ?? [];
      expect(Number(held)).toBeGreaterThan(85);
      const [, quantiles] = await dashboard.texts('.tiles dd.quantiles');
      expect(quantiles?.startsWith(`${held}\u00a0ms\u00a0· `)).toBe(true);
      const tops = await dashboard.evaluate<number[]>(`(() => {
        document.querySelector('.summary').textContent = 'two lines '.repeat(9);
        return [...document.querySelectorAll('.chart')].map((e) => e.getBoundingClientRect().top);
      })()`);
      expect(tops).toEqual(tops.map(() => tops[0]));
    },
    TIMEOUT_MS,
  );
});
