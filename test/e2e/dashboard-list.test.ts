import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { BROWSER_TIMEOUT_MS, describeWithBrowser, launchBrowser } from '../support/browser.js';
import { DashboardPage, startOpenDashboardApp } from '../support/dashboard-page.js';
import type { TestApp } from '../support/nest-app.js';

const LONG = 'payments:tenant-acme:account-10423:euros';
const KEYS = [LONG, ...Array.from({ length: 60 }, (_, i) => `tenant-${10 + i}:exports`)];
const TIMEOUT_MS = 2 * BROWSER_TIMEOUT_MS;

describeWithBrowser('the list of semaphores', () => {
  let browser: Browser;
  let app: TestApp;

  beforeAll(async () => {
    app = await startOpenDashboardApp();
    await Promise.all(KEYS.map((key) => app.semaphores.acquire(key, { leaseMs: Infinity })));
    browser = await launchBrowser();
  }, TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await app?.close();
  }, TIMEOUT_MS);

  async function open(of: Browser = browser): Promise<DashboardPage> {
    const dashboard = await DashboardPage.open(of, app, { viewport: { width: 1280, height: 600 } });
    await dashboard.show();
    await dashboard.page.locator(`.rows .key[title="${KEYS[5]}"]`).waitFor();
    return dashboard;
  }

  /** Opens the list with these keys in it, and then with others. */
  async function openTold(first: string[], then: string[]): Promise<[DashboardPage, Told]> {
    const dashboard = await DashboardPage.open(browser, app);
    let keys = first;
    await dashboard.page.route('**/api/stream?*', (route) =>
      route.fulfill({ contentType: 'text/event-stream', body: frameOf(keys) }),
    );
    await dashboard.page.goto(`${app.url}/semaphores/`);
    await dashboard.untilTexts('.rows .key', first);
    return [
      dashboard,
      async () => {
        keys = then;
        await dashboard.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
        await dashboard.untilTexts('.rows .key', then);
      },
    ];
  }

  /** How far each row lies below the one before, beyond its height. */
  const GAPS = `(() => {
    const places = [...document.querySelectorAll('.rows .row')].map((e) => e.getBoundingClientRect());
    return places.slice(1).map((place, i) => Math.round(place.top - places[i].bottom));
  })()`;

  test(
    'shows the name of each to its end at whatever width, also when a phone is turned',
    async () => {
      await using dashboard = await open();
      const cut = `[...document.querySelectorAll('.rows .key')]
        .filter((e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight).length`;
      for (const width of [1024, 961, 932, 844, 390, 844, 320, 1280]) {
        await dashboard.page.setViewportSize({ width, height: 390 });
        await dashboard.until(`(${GAPS}).every((gap) => gap === 0)`);
        expect(await dashboard.evaluate(cut)).toBe(0);
      }
    },
    TIMEOUT_MS,
  );

  test(
    'grows with the size of text that the browser is set to',
    async () => {
      const height = `document.querySelector('.rows .row').getBoundingClientRect().height`;
      await using usual = await open();
      const before = await usual.evaluate<number>(height);
      const large = await launchBrowser('--blink-settings=defaultFontSize=20');
      try {
        await using dashboard = await open(large);
        expect(await dashboard.evaluate(height)).toBeCloseTo(1.25 * before, 0);
        expect(new Set(await dashboard.evaluate<number[]>(GAPS))).toEqual(new Set([0]));
      } finally {
        await large.close();
      }
    },
    TIMEOUT_MS,
  );

  test(
    'does not hide what has the focus below its headings',
    async () => {
      await using dashboard = await open();
      const { keyboard } = dashboard.page;
      await dashboard.page.locator(`.rows .key[title="${KEYS[5]}"]`).focus();
      for (let i = 0; i < 20; i++) await keyboard.press('Tab');
      for (let i = 0; i < 20; i++) {
        await keyboard.press('Shift+Tab');
        const [top, headings] = await dashboard.evaluate<[number, number]>(
          `[document.activeElement, document.querySelector('.head .row')]
            .map((e) => e.getBoundingClientRect()).map(({ top, bottom }, i) => i === 0 ? top : bottom)`,
        );
        expect(top).toBeGreaterThanOrEqual(headings);
      }
      const last = `document.activeElement.textContent === '${KEYS[5]}'`;
      expect(await dashboard.evaluate(last)).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'is gone on with by keyboard where a semaphore was opened',
    async () => {
      await using dashboard = await open();
      const last = KEYS.at(-1) as string;
      await dashboard.evaluate('scrollTo(0, document.documentElement.scrollHeight)');
      await dashboard.page.locator(`.rows .key[title="${last}"]`).press('Enter');
      await dashboard.untilTexts('h1', [last]);
      await dashboard.page.getByRole('link', { name: 'All semaphores' }).press('Enter');
      await dashboard.until(`document.activeElement.textContent === '${last}'`);
    },
    TIMEOUT_MS,
  );

  test(
    'is not changed by a search that was left at once',
    async () => {
      await using dashboard = await open();
      const found = await dashboard.evaluate(`(async () => {
        const follow = (link) => new Promise((followed) => {
          addEventListener('hashchange', () => setTimeout(followed), { once: true });
          link.click();
        });
        const search = document.querySelector('input[type="search"]');
        search.value = 'nothing of this name';
        search.dispatchEvent(new Event('input'));
        await follow(document.querySelector('.rows .key'));
        await follow([...document.querySelectorAll('a')].find((e) => e.textContent.includes('All semaphores')));
        await new Promise((resolve) => setTimeout(resolve, 300));
        return location.hash + document.querySelector('input[type="search"]').value;
      })()`);
      expect(found).not.toContain('nothing');
      await dashboard.page.locator(`.rows .key[title="${KEYS[5]}"]`).waitFor();
    },
    TIMEOUT_MS,
  );

  test(
    'leaves the focus with a semaphore when others come before it',
    async () => {
      const [dashboard, tell] = await openTold(['b', 'd'], ['a', 'b', 'c', 'd']);
      await using _closing = dashboard;
      await dashboard.page.locator('.rows .key[title="d"]').focus();
      await tell();
      expect(await dashboard.evaluate('document.activeElement.textContent')).toBe('d');
      const indices = `[...document.querySelectorAll('#view [role="row"]')].map((e) => e.ariaRowIndex)`;
      expect(await dashboard.evaluate(indices)).toEqual(['1', '2', '3', '4', '5']);
    },
    TIMEOUT_MS,
  );

  test(
    'leaves the focus to who has moved it since they came back from a semaphore',
    async () => {
      const [dashboard, tell] = await openTold(['b', 'd'], ['a', 'b', 'c', 'd']);
      await using _closing = dashboard;
      await dashboard.page.locator('.rows .key[title="d"]').press('Enter');
      await dashboard.untilTexts('h1', ['d']);
      await dashboard.page.getByRole('link', { name: 'All semaphores' }).press('Enter');
      await dashboard.until(`document.activeElement.textContent === 'd'`);
      await dashboard.page.getByLabel('Search keys').focus();
      await tell();
      expect(await dashboard.evaluate('document.activeElement.id')).toBe('search');
    },
    TIMEOUT_MS,
  );

  test(
    'is read out when somebody searches, and not whenever a key comes or goes',
    async () => {
      const [dashboard, tell] = await openTold(['b'], ['a', 'b', 'c']);
      await using _closing = dashboard;
      const said = (): Promise<string[]> => dashboard.texts('#view [role="status"]');
      expect(await said()).toEqual(['']);
      await tell();
      expect(await dashboard.texts('.found')).toEqual(['3 keys']);
      expect(await said()).toEqual(['']);
      await dashboard.page.getByLabel('Search keys').fill('whatever');
      await dashboard.untilTexts('#view [role="status"]', ['3 keys']);
    },
    TIMEOUT_MS,
  );
});

type Told = () => Promise<void>;

function frameOf(keys: string[]): string {
  const counts = { rejected: 0, lost: 0 };
  const state = { permits: 1, held: 1, waiting: 0, oldestWaitSince: null };
  const { length } = keys;
  const totals = {
    keys: length,
    lookedAt: length,
    held: length,
    waiting: 0,
    oldestWaitSince: null,
    ...counts,
  };
  const rows = keys.map((key) => ({ key, state, ...counts }));
  const overview = { offset: 0, matching: length, rows, totals, complete: true, cut: false };
  const now = Date.now();
  const frame = JSON.stringify({ now, storeNow: now, storeDown: null, overview });
  return `event: frame\ndata: ${frame}\n\n`;
}
