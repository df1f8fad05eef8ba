import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { Browser } from 'playwright-core';
import { MemorySemaphoreStore } from 'nestjs-semaphore';
import { type DashboardAccess, SemaphoreDashboardModule } from 'nestjs-semaphore/dashboard';
import { BROWSER_TIMEOUT_MS, describeWithBrowser, launchBrowser } from '../support/browser.js';
import { DashboardPage } from '../support/dashboard-page.js';
import { adapters, TestApp } from '../support/nest-app.js';
import { pollUntil } from '../support/redis-admin.js';

/** How long somebody sees what happens after `authorize` would refuse them. */
const ASKED_AGAIN_MS = 30_000;

let app: TestApp;
let access: DashboardAccess;

/** Ends each stream that is open, as its time limit would. */
let limits: (() => void)[];

function expire(): void {
  for (const limit of limits.splice(0)) limit();
}

async function start({ createAdapter }: (typeof adapters)[number]): Promise<void> {
  const imports = [SemaphoreDashboardModule.forRoot({ authorize: () => access })];
  app = await TestApp.start(createAdapter, { imports }, { store: new MemorySemaphoreStore() });
}

beforeEach(() => {
  access = 'act';
  limits = [];
  const { setTimeout } = globalThis;
  jest.spyOn(globalThis, 'setTimeout').mockImplementation((callback, ms) => {
    if (ms === ASKED_AGAIN_MS) limits.push(callback);
    return setTimeout(callback, ms);
  });
});

afterEach(async () => {
  jest.restoreAllMocks();
  await app.close();
});

describe.each(adapters)('who is refused while a page is open, on $platform', (platform) => {
  test('sees nothing new after 30 seconds, whatever asks for the stream', async () => {
    await start(platform);
    const asking = httpRequest(`${app.url}/semaphores/api/stream`).end();
    const [response] = (await once(asking, 'response')) as [NodeJS.ReadableStream];
    let text = '';
    response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    const ended = once(response, 'end');
    await pollUntil('a frame', () => Promise.resolve(text.includes('event: frame')));
    access = 'none';
    expire();
    await ended;
    expect(text).toContain('event: renew');
    const again = await app.fetch('/semaphores/api/stream');
    expect(again.status).toBe(403);
    expect(await again.text()).toContain('You may not see the dashboard.');
  });
});

describeWithBrowser('a page that is open', () => {
  const [express] = adapters;
  let browser: Browser;

  beforeEach(async () => {
    await start(express!);
    browser = await launchBrowser();
  }, BROWSER_TIMEOUT_MS);

  afterEach(() => browser.close(), BROWSER_TIMEOUT_MS);

  /** Of one semaphore, with a question that waits for an answer. */
  async function openPage(): Promise<DashboardPage> {
    await app.semaphores.acquire('k', { label: 'it' });
    const dashboard = await DashboardPage.open(browser, app);
    await dashboard.show('k');
    await dashboard.page.getByRole('button', { name: 'Release the permit of it…' }).click();
    await dashboard.page.getByRole('dialog').waitFor();
    return dashboard;
  }

  test(
    'loses its buttons when its visitor may only look any more, and gets them back',
    async () => {
      await using dashboard = await openPage();
      const states = await dashboard.watchStates();
      access = 'view';
      expire();
      const { page } = dashboard;
      await page.getByText('view only').waitFor();
      expect(await states()).not.toContain('lost');
      expect(await page.getByRole('dialog').count()).toBe(0);
      expect(await page.getByRole('button').count()).toBe(0);
      await dashboard.untilTexts('.holder .label', ['it']);
      access = 'act';
      expire();
      await page.getByRole('button', { name: 'Change the limit…' }).waitFor();
      expect(dashboard.problems).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    'shows nothing when its visitor may not look any more, and says why',
    async () => {
      await using dashboard = await openPage();
      access = 'none';
      expire();
      const { page } = dashboard;
      await page.getByRole('alert').filter({ hasText: 'You may not see the dashboard.' }).waitFor();
      expect(await page.getByText('it', { exact: true }).isVisible()).toBe(false);
      expect(await page.getByRole('dialog').count()).toBe(0);
      expect(await page.getByRole('button').count()).toBe(0);
      access = 'view';
      await page.getByText('it', { exact: true }).waitFor();
    },
    BROWSER_TIMEOUT_MS,
  );
});
