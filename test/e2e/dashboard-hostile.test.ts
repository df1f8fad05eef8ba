import { once } from 'node:events';
import { request, type Server } from 'node:http';
import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { describe, expect, jest, test } from '@jest/globals';
import {
  MemorySemaphoreStore,
  SemaphoreClosedError,
  StoreUnavailableError,
} from 'nestjs-semaphore';
import {
  SemaphoreDashboardModule,
  type SemaphoreDashboardOptions,
} from 'nestjs-semaphore/dashboard';
import { Collector } from '../../lib/dashboard/collector/collector.js';
import { adapters, TestApp } from '../support/nest-app.js';
import { pollUntil } from '../support/redis-admin.js';

/** Does something while the application shuts down, before the server is closed. */
@Injectable()
class LateVisitor implements BeforeApplicationShutdown {
  visit: () => Promise<void> = () => Promise.resolve();

  beforeApplicationShutdown(): Promise<void> {
    return this.visit();
  }
}

const MAX_PAGES = 200;

function connections(app: TestApp): Promise<number> {
  const server = app.app.getHttpServer() as Server;
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
}

describe.each(adapters)('the dashboard on $platform', ({ createAdapter }) => {
  function start(options?: SemaphoreDashboardOptions): Promise<TestApp> {
    return TestApp.start(
      createAdapter,
      { imports: [SemaphoreDashboardModule.forRoot(options)], providers: [LateVisitor] },
      { store: new MemorySemaphoreStore() },
      undefined,
      false,
    );
  }

  test.each(['', 'x'.repeat(513)])('a key that cannot be is a mistake of who asks', async (key) => {
    const app = await start();
    for (const path of ['semaphore', 'stream']) {
      const answer = await app.fetch(`/semaphores/api/${path}?key=${key}`);
      expect(answer.status).toBe(400);
      await answer.body?.cancel();
    }
    const overview = await app.fetch('/semaphores/api/overview?limit=0');
    expect(await overview.json()).toMatchObject({ storeDown: null });
    await app.close();
  });

  test('a challenge that no header can say is a failure, for whatever asks', async () => {
    const authorize = () => ({ access: 'none', challenge: 'Basic realm="Семафоры"' }) as const;
    const app = await start({ authorize });
    for (const accept of ['application/json', 'text/html']) {
      const answer = await app.fetch('/semaphores/', { headers: { accept } });
      expect(answer.status).toBe(500);
      expect(answer.headers.get('www-authenticate')).toBeNull();
      await answer.body?.cancel();
    }
    await app.close();
  });

  test('pages that are gone before they are let in leave room for others', async () => {
    let admit: () => void = () => undefined;
    const admitted = new Promise<void>((resolve) => (admit = resolve));
    let visitors = 0;
    const app = await start({
      authorize: async () => {
        visitors += 1;
        await admitted;
        return 'view' as const;
      },
    });
    const gone = new AbortController();
    const pages = Array.from({ length: MAX_PAGES }, () =>
      app.fetch('/semaphores/api/stream', { signal: gone.signal }).catch(() => undefined),
    );
    await pollUntil('all have asked', () => Promise.resolve(visitors === pages.length));
    gone.abort();
    await Promise.all(pages);
    await pollUntil('their connections are closed', async () => (await connections(app)) === 0);
    admit();
    const answer = await app.fetch('/semaphores/api/stream');
    expect(answer.status).toBe(200);
    await answer.body?.cancel();
    await app.close();
  });

  test('of too many pages at once the last is refused', async () => {
    const app = await start();
    const gone = new AbortController();
    const { signal } = gone;
    const pages = await Promise.all(
      Array.from({ length: MAX_PAGES }, () => app.fetch('/semaphores/api/stream', { signal })),
    );
    expect(new Set(pages.map(({ status }) => status))).toEqual(new Set([200]));
    const last = await app.fetch('/semaphores/api/stream');
    expect(last.status).toBe(503);
    expect(await last.json()).toMatchObject({ message: expect.stringContaining('200 pages') });
    gone.abort();
    await app.close();
  });

  test('nothing is watched for a page that is gone', async () => {
    const { watch } = Collector.prototype;
    const left = new Promise<void>((resolve) => {
      jest.spyOn(Collector.prototype, 'watch').mockImplementation(function (
        this: Collector,
        ...all
      ) {
        const stop = watch.apply(this, all);
        return () => {
          stop();
          resolve();
        };
      });
    });
    const app = await start();
    const page = request(`${app.url}/semaphores/api/stream`).end();
    await once(page, 'response');
    page.on('error', () => undefined).destroy();
    await left;
    jest.restoreAllMocks();
    await app.close();
  });

  test('HEAD opens no stream', async () => {
    const app = await start();
    expect((await app.fetch('/semaphores/api/stream', { method: 'HEAD' })).status).toBe(405);
    await app.close();
  });

  test.each([
    ['a store that is away', new StoreUnavailableError('away'), 503, 0],
    ['a process that shuts down', new SemaphoreClosedError(), 503, 0],
    ['a mistake of its own', new Error('a mistake'), 500, 1],
  ])('%s is told to who acts, and only the last is logged', async (_, error, status, logged) => {
    const app = await start();
    jest.spyOn(app.semaphores, 'setPermits').mockRejectedValue(error);
    const log = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const answer = await app.fetch('/semaphores/api/limit', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-semaphore-dashboard': 'act' },
      body: JSON.stringify({ key: 'k', permits: 2 }),
    });
    expect([answer.status, log.mock.calls.length]).toEqual([status, logged]);
    jest.restoreAllMocks();
    await app.close();
  });

  test('a page that comes back during the shutdown does not hold it up', async () => {
    const app = await start();
    app.app.get(LateVisitor).visit = async () => {
      const answer = await app.fetch('/semaphores/api/stream');
      expect(answer.status).toBe(503);
      await answer.text();
    };
    await app.close();
    expect.assertions(1);
  });
});

test('without SemaphoreModule the start fails and says what to import', async () => {
  const compiled = Test.createTestingModule({ imports: [SemaphoreDashboardModule.forRoot()] });
  await expect(compiled.compile()).rejects.toThrow('import SemaphoreModule.forRoot()');
});
