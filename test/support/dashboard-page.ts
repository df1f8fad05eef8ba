import type { DynamicModule } from '@nestjs/common';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { MemorySemaphoreStore, type SemaphoreModuleOptions } from 'nestjs-semaphore';
import { SemaphoreDashboardModule } from 'nestjs-semaphore/dashboard';
import { BROWSER_TIMEOUT_MS } from './browser.js';
import { adapters, TestApp } from './nest-app.js';
import { pollUntil } from './redis-admin.js';

type Role = 'admin' | 'guest' | 'stranger';

/** An application with a dashboard that knows its visitors by a header. */
export function startDashboardApp(redis: string, keyPrefix: string): Promise<TestApp> {
  const dashboard = SemaphoreDashboardModule.forRoot({
    authorize: ({ headers }) => {
      if (headers['x-role'] === 'admin') return { access: 'act', user: 'anna' };
      return headers['x-role'] === 'guest' ? { access: 'view', user: 'ben' } : 'none';
    },
  });
  return start(dashboard, { redis, keyPrefix });
}

/** An application with a dashboard that lets everybody act, on a store in memory. */
export function startOpenDashboardApp(): Promise<TestApp> {
  return start(SemaphoreDashboardModule.forRoot(), { store: new MemorySemaphoreStore() });
}

function start(dashboard: DynamicModule, options: SemaphoreModuleOptions): Promise<TestApp> {
  const [express] = adapters;
  if (express === undefined) throw new Error('There is no adapter');
  return TestApp.start(express.createAdapter, { imports: [dashboard] }, options);
}

/** The dashboard in a tab of a browser. Everything is asked from outside: its policy runs no text inside of it. */
export class DashboardPage implements AsyncDisposable {
  /** What the browser complains about, and whatever it loads from elsewhere. */
  readonly problems: string[] = [];

  private constructor(
    readonly page: Page,
    private readonly app: TestApp,
  ) {}

  static async open(
    browser: Browser,
    app: TestApp,
    { role = 'admin', ...context }: BrowserContextOptions & { role?: Role } = {},
  ): Promise<DashboardPage> {
    const extraHTTPHeaders = { 'x-role': role };
    const page = await browser.newPage({
      viewport: { width: 1280, height: 900 },
      extraHTTPHeaders,
      ...context,
    });
    page.setDefaultTimeout(BROWSER_TIMEOUT_MS);
    const dashboard = new DashboardPage(page, app);
    dashboard.watch();
    return dashboard;
  }

  /** All semaphores, or one of them. */
  async show(key?: string): Promise<void> {
    const hash = key === undefined ? '#/' : `#/s/${encodeURIComponent(key)}`;
    await this.page.goto(`${this.app.url}/semaphores/${hash}`);
    await this.page.locator('#live[data-state="live"]').waitFor();
  }

  evaluate<T>(expression: string): Promise<T> {
    return this.page.evaluate<T>(expression);
  }

  /** @returns what tells the states that the page has shown since then */
  async watchStates(): Promise<() => Promise<string[]>> {
    await this.evaluate(`(() => {
      const live = document.getElementById('live');
      globalThis.states = [];
      new MutationObserver(() => states.push(live.dataset.state)).observe(live, { attributes: true });
    })()`);
    return () => this.evaluate('states');
  }

  until(expression: string): Promise<void> {
    return pollUntil(expression, () => this.evaluate<boolean>(expression), BROWSER_TIMEOUT_MS);
  }

  /** Text of all elements that fit, in their order. */
  texts(selector: string): Promise<string[]> {
    return this.page.locator(selector).allTextContents();
  }

  async untilTexts(selector: string, expected: readonly string[]): Promise<void> {
    const wanted = JSON.stringify(expected);
    await pollUntil(
      `${selector} is ${wanted}`,
      async () => JSON.stringify(await this.texts(selector)) === wanted,
      BROWSER_TIMEOUT_MS,
    );
  }

  /** Presses a button, and the one in the dialog that asks for confirmation. */
  async confirm(button: string, confirmation: string): Promise<void> {
    await this.page.getByRole('button', { name: button, exact: true }).click();
    await this.page.getByRole('dialog').getByRole('button', { name: confirmation }).click();
    await this.page.getByRole('dialog').waitFor({ state: 'detached' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.close();
  }

  private watch(): void {
    const { page, problems } = this;
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => {
      if (!request.url().startsWith(this.app.url)) problems.push(`${request.url()} is elsewhere`);
    });
  }
}
