import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { BROWSER_TIMEOUT_MS, describeWithBrowser, launchBrowser } from '../support/browser.js';
import {
  DashboardPage,
  startDashboardApp,
  startOpenDashboardApp,
} from '../support/dashboard-page.js';
import type { TestApp } from '../support/nest-app.js';
import { canFakeTime } from '../support/redis-clock.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { aborted, queued } from '../support/semaphores.js';
import { uniquePrefix } from '../support/unique-prefix.js';
import { Worker } from '../support/workers.js';

const TIMEOUT_MS = 2 * BROWSER_TIMEOUT_MS;

describeWithBrowser('the page of the dashboard', () => {
  let redis: RedisServer;
  let browser: Browser;
  let app: TestApp;
  let other: Worker;
  let key: string;

  beforeAll(async () => {
    redis = await startRedis();
    const keyPrefix = uniquePrefix();
    app = await startDashboardApp(redis.url, keyPrefix);
    other = await Worker.start({ redis: redis.url, keyPrefix });
    browser = await launchBrowser();
  }, TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await other?.kill();
    await app?.close();
    await redis?.stop();
  }, TIMEOUT_MS);

  beforeEach(() => {
    key = uniquePrefix('key');
  });

  const rowOf = (name: string): string => `.rows .row:has(.key[title="${name}"])`;

  test(
    'shows who holds and who waits in both processes, while they work hard',
    async () => {
      await using held = await app.semaphores.acquire(key, {
        permits: 3,
        weight: 2,
        label: 'here',
      });
      await other.call('acquire', key, { permits: 3, label: 'there' });
      await other.call('enqueue', key, { permits: 3, label: 'second', waitMs: Infinity });
      await other.call('enqueue', key, {
        permits: 3,
        label: 'first',
        priority: 2,
        waitMs: Infinity,
      });
      const load = other.call('load', {
        key: `${key}-busy`,
        permits: 4,
        callers: 20,
        durationMs: 4_000,
        maxWorkMs: 30,
      });

      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show();
      await dashboard.untilTexts(`${rowOf(key)} .meter-text`, ['3 / 3']);
      await dashboard.untilTexts(`${rowOf(key)} .cell.is-waiting`, ['2']);
      const share = `document.querySelector('${rowOf(key)} .fill').style.getPropertyValue('--share')`;
      expect(await dashboard.evaluate(share)).toBe('100%');
      const [busy = ''] = await dashboard.texts(`${rowOf(`${key}-busy`)} .meter-text`);
      expect(busy).toMatch(/^[0-4] \/ 4$/);

      await dashboard.page.getByRole('link', { name: key, exact: true }).click();
      await dashboard.untilTexts('.holder .label', ['here', 'there']);
      const snapshot = await app.semaphores.inspect(key);
      expect(await dashboard.texts('.holder .client')).toEqual(
        snapshot.holders.map(({ client }) => client),
      );
      expect(await dashboard.texts('.holder .token')).toEqual(
        snapshot.holders.map(({ fencingToken }) => `token ${fencingToken}`),
      );
      expect(await dashboard.texts('.queue tbody .label')).toEqual(['first', 'second']);
      expect(await dashboard.texts('.queue tbody td:nth-child(1)')).toEqual(['1', '2']);
      expect(await dashboard.texts('.queue tbody td:nth-child(4)')).toEqual(['2', '0']);
      expect(await dashboard.texts('h2')).toEqual(
        expect.arrayContaining(['Holders (2)', 'Queue (2)']),
      );
      await dashboard.until(`document.querySelectorAll('.chart canvas').length === 3`);
      expect((await load).lost).toBe(0);
      expect(held.isHeld).toBe(true);
      expect(dashboard.problems).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'a lease counts down, and a permit whose lease is over is gone',
    async () => {
      await app.semaphores.acquire(key, {
        permits: 2,
        leaseMs: 40_000,
        renew: false,
        label: 'long',
      });
      await app.semaphores.acquire(key, {
        permits: 2,
        leaseMs: 4_000,
        renew: false,
        label: 'short',
      });
      const [{ expiresAt } = { expiresAt: 0 }] = (await app.semaphores.inspect(key)).holders;
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(key);
      const left = `Number(/lease (\\d+) s/.exec(document.querySelector('.holder .left')?.textContent)?.[1])`;
      const width = `parseFloat(document.querySelector('.holder .future').style.getPropertyValue('--length'))`;
      await dashboard.until(`${left} > 0`);
      const before = Date.now();
      const first = await dashboard.evaluate<number>(left);
      const after = Date.now();
      const wide = await dashboard.evaluate<number>(width);
      expect(first).toBeGreaterThan((expiresAt - after) / 1_000 - 3);
      expect(first).toBeLessThan((expiresAt - before) / 1_000 + 1);

      await dashboard.untilTexts('.holder .label', ['long']);
      await dashboard.until(`${left} < ${first - 2}`);
      expect(await dashboard.evaluate<number>(width)).toBeLessThan(wide);
    },
    TIMEOUT_MS,
  );

  (canFakeTime ? test : test.skip)(
    'ages and leases are counted by the clock of Redis, however far off it is',
    async () => {
      await using late = await startRedis({ faketime: '-7200' });
      const elsewhere = await startDashboardApp(late.url, uniquePrefix());
      try {
        await elsewhere.semaphores.acquire(key, { leaseMs: 3_600_000 });
        await queued(elsewhere.semaphores, () =>
          elsewhere.semaphores.acquire(key, { waitMs: Infinity }),
        );
        await using dashboard = await DashboardPage.open(browser, elsewhere);
        const matches = (selector: string, pattern: RegExp): Promise<void> =>
          dashboard.until(`${pattern}.test(document.querySelector('${selector}')?.textContent)`);
        await dashboard.show();
        await matches('.rows .is-oldest', /^\d{1,2} s$/);
        await dashboard.show(key);
        await matches('.holder .left', /^lease 5\d m/);
        await matches('.holder .held', /^held \d{1,2} s$/);
        await matches('.queue tbody td:nth-child(6)', /^\d{1,2} s$/);
      } finally {
        await elsewhere.close();
      }
    },
    TIMEOUT_MS,
  );

  test(
    'a force release frees the permit and aborts the signal of its holder',
    async () => {
      const permit = await app.semaphores.acquire(key, { label: 'stuck' });
      const next = await queued(app.semaphores, () =>
        app.semaphores.acquire(key, { label: 'next' }),
      );
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(key);
      await dashboard.page.getByRole('button', { name: 'Release the permit of stuck…' }).click();
      const warned = `document.getElementById(document.querySelector('dialog').getAttribute('aria-describedby'))`;
      expect(await dashboard.evaluate(`${warned}.textContent`)).toMatch(/^stuck \(.+ at once/);
      await dashboard.page.getByRole('button', { name: 'Release by force' }).click();
      expect(await aborted(permit.signal)).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST' });
      await using granted = await next.outcome;
      await dashboard.untilTexts('.holder .label', ['next']);
      await dashboard.page.getByText('The permit of stuck was released').waitFor();
      expect(granted.isHeld).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'a permit of another process can be released, and a waiter dropped',
    async () => {
      const { id } = await other.call('acquire', key, { label: 'far' });
      await other.call('enqueue', key, { label: 'unwanted', waitMs: Infinity });
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(key);
      await dashboard.confirm('Drop the waiter unwanted…', 'Drop from the queue');
      await dashboard.page.getByText('Nobody waits.').waitFor();
      await dashboard.confirm('Release the permit of far…', 'Release by force');
      await dashboard.page.getByText('Nobody holds a permit.').waitFor();
      expect(await other.call('isHeld', id)).toBe(false);
    },
    TIMEOUT_MS,
  );

  test(
    'a limit that is raised on the page admits who waits',
    async () => {
      await using first = await app.semaphores.acquire(key, { label: 'first' });
      const second = await queued(app.semaphores, () => app.semaphores.acquire(key));
      const third = await queued(app.semaphores, () => app.semaphores.acquire(key));
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(key);
      await dashboard.page.getByRole('button', { name: 'Change the limit…' }).click();
      await dashboard.page.getByRole('dialog', { name: `Change the limit ${key}` }).waitFor();
      expect(await dashboard.texts('dialog button')).toEqual(['Cancel', 'Set the limit']);
      await dashboard.page.getByLabel('Permits', { exact: true }).fill('3');
      await dashboard.page.getByRole('button', { name: 'Set the limit' }).click();
      const permits = await Promise.all([second.outcome, third.outcome]);
      await dashboard.untilTexts('.is-detail .meter-text', ['3 / 3']);
      await dashboard.page.getByText('The limit is 3 permits now.').waitFor();
      await dashboard.page.getByText('limit pinned').waitFor();
      await dashboard.confirm('Change the limit…', 'Clear it');
      await dashboard.page.getByText('limit pinned').waitFor({ state: 'hidden' });
      await Promise.all(permits.map((permit) => permit.release()));
      await dashboard.untilTexts('.holder .label', ['first']);
      expect(first.isHeld).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'a restart of Redis is told, and survived',
    async () => {
      const permit = await app.semaphores.acquire(key, { leaseMs: Infinity, label: 'before' });
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show(key);
      await dashboard.untilTexts('.holder .label', ['before']);
      await redis.kill();
      const alert = dashboard.page.getByRole('alert').filter({ hasText: 'Store down since' });
      await alert.waitFor();
      expect(await dashboard.texts('#live')).toEqual(['Store down']);
      expect(await dashboard.texts('.holder .label')).toEqual(['before']);
      await using late = await DashboardPage.open(browser, app);
      await late.page.goto(`${app.url}/semaphores/#/s/another`);
      await late.untilTexts('#live', ['Store down']);
      expect(await late.texts('.is-detail .meter-text')).toEqual(['–']);
      expect(await late.texts('.empty:visible')).toEqual(['Not known yet.', 'Not known yet.']);
      await redis.restart();
      await alert.waitFor({ state: 'hidden' });
      expect(await dashboard.texts('#live')).toEqual(['Live']);
      await late.untilTexts('.empty:visible', ['Nobody holds a permit.', 'Nobody waits.']);
      await permit.release();
      await using after = await app.semaphores.acquire(key, { label: 'after' });
      await dashboard.untilTexts('.holder .label', ['after']);
      expect(after.isHeld).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'a server that cannot be reached is told, and found again',
    async () => {
      await using permit = await app.semaphores.acquire(key, { label: 'held' });
      await using dashboard = await DashboardPage.open(browser, app);
      await dashboard.show();
      await dashboard.page.route('**/api/**', (route) => route.abort());
      await dashboard.page.getByRole('link', { name: key, exact: true }).click();
      const alert = dashboard.page.getByRole('alert').filter({ hasText: 'No connection' });
      await alert.waitFor();
      await dashboard.page.unroute('**/api/**');
      await alert.waitFor({ state: 'hidden' });
      await dashboard.untilTexts('.holder .label', ['held']);
      expect(permit.isHeld).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'a guest sees everything and can do nothing',
    async () => {
      await using permit = await app.semaphores.acquire(key);
      await queued(app.semaphores, () => app.semaphores.acquire(key, { waitMs: 60_000 }));
      await using dashboard = await DashboardPage.open(browser, app, { role: 'guest' });
      await dashboard.show(key);
      await dashboard.untilTexts('#who', ['ben · view only']);
      await dashboard.untilTexts('.holder .label', [permit.id]);
      expect(await dashboard.page.getByRole('button').count()).toBe(0);
      const post = (name: string, body: object): string =>
        `fetch('api/${name}', { method: 'POST', body: ${JSON.stringify(JSON.stringify(body))}, headers:
          { 'content-type': 'application/json', 'x-semaphore-dashboard': 'act' } }).then(({ status }) => status)`;
      const status = await dashboard.evaluate(post('release', { key, id: permit.id }));
      expect(status).toBe(403);
      expect(await dashboard.evaluate(post('limit', { key, permits: 5 }))).toBe(403);
      expect(await app.semaphores.inspect(key)).toMatchObject({ permits: 1, held: 1 });
      expect(permit.isHeld).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'a stranger sees nothing',
    async () => {
      await using permit = await app.semaphores.acquire(key);
      await using dashboard = await DashboardPage.open(browser, app, { role: 'stranger' });
      const answer = await dashboard.page.goto(`${app.url}/semaphores/`);
      expect(answer?.status()).toBe(403);
      await dashboard.page.getByText('You may not see the dashboard.').waitFor();
      expect(await dashboard.page.content()).not.toContain(key);
      expect(await dashboard.page.getByRole('button').count()).toBe(0);
      expect(permit.isHeld).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'shows keys of whatever signs, and leads to each',
    async () => {
      const local = await startOpenDashboardApp();
      await using _closing = { [Symbol.asyncDispose]: () => local.close() };
      const keys = ['..', '%', '#/s/x?y=%2e', '\u202e"rtl', 'a\tb', '{x}', 'x'.repeat(512)];
      const shown = keys.map((odd) => odd.replace('\u202e', '\\u{202e}').replace('\t', '\\u{9}'));
      for (const odd of keys) await local.semaphores.acquire(odd, { label: 'it' });
      await using dashboard = await DashboardPage.open(browser, local);
      await dashboard.show();
      await dashboard.untilTexts('.tiles dd', ['7', '7', '0', '–', '0', '0']);
      expect(new Set(await dashboard.texts('.rows .key'))).toEqual(new Set(shown));
      for (const title of shown) {
        await dashboard.show();
        await dashboard.page.getByTitle(title, { exact: true }).click();
        await dashboard.untilTexts('.holder .label', ['it']);
      }
      expect(dashboard.problems).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
