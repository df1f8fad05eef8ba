import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { AsyncLocalStorage } from 'node:async_hooks';
import { MemorySemaphoreStore, SemaphoreService } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { Collector } from '../../../lib/dashboard/collector/collector.js';
import type { Frame } from '../../../lib/dashboard/collector/frame.js';
import { MAX_ROWS, overviewOf } from '../../../lib/dashboard/collector/view.js';
import { internalsOf } from '../../../lib/service-internals.js';
import { queued } from '../../support/semaphores.js';

const overview = (query = ''): ReturnType<typeof overviewOf> =>
  overviewOf(new URLSearchParams(query));

describe('the collector', () => {
  let service: SemaphoreService;
  let collector: Collector;

  beforeEach(() => {
    service = new SemaphoreService({ log: 'none' });
    collector = new Collector(service);
  });

  afterEach(async () => {
    collector.close();
    await service.close();
  });

  /** Resolves with the first frame that fits. */
  function watchUntil(
    fits: (frame: Frame) => boolean,
    view: Parameters<Collector['watch']>[0] = overview(),
  ): Promise<Frame> {
    return new Promise((resolve) => {
      const stop = collector.watch(view, (frame) => {
        if (!fits(frame)) return;
        stop();
        resolve(frame);
      });
    });
  }

  /** How often the store is asked about a key from now on. */
  function countLooks(): { asked: number } {
    const looks = { asked: 0 };
    const internals = internalsOf(service);
    const look = internals.look.bind(internals);
    internals.look = (key) => {
      looks.asked++;
      return look(key);
    };
    return looks;
  }

  const isListed = ({ overview: part }: Frame): boolean => part?.complete === true;
  const names = ({ overview }: Frame): string[] => overview?.rows.map(({ key }) => key) ?? [];

  test('lists what is in use, with who waits', async () => {
    await service.acquire('b', { permits: 3, weight: 2 });
    await service.acquire('a');
    await queued(service, () => service.acquire('a'));
    const { overview: part, storeDown } = await collector.read(overview());
    expect(storeDown).toBeNull();
    expect(part).toMatchObject({
      matching: 2,
      complete: true,
      cut: false,
      totals: { keys: 2, held: 3, waiting: 1, rejected: 0, lost: 0 },
      rows: [
        { key: 'a', state: { permits: 1, held: 1, waiting: 1 } },
        { key: 'b', state: { permits: 3, held: 2, waiting: 0, oldestWaitSince: null } },
      ],
    });
  });

  test('works out once what equal views show', async () => {
    await service.acquire('a');
    const frames = await Promise.all(
      ['', '', 'search=b'].map((query) => watchUntil(isListed, overview(query))),
    );
    expect(frames[1]).toBe(frames[0]);
    expect(frames.map(({ overview: part }) => part?.matching)).toEqual([1, 1, 0]);
  });

  test('shows the keys that match a search, in the order and from the place that is asked for', async () => {
    for (const [key, permits] of [
      ['Mail:1', 4],
      ['mail:2', 2],
      ['other', 1],
    ] as const) {
      await service.acquire(key, { permits });
    }
    await service.tryAcquire('other');
    const read = async (query: string): Promise<string[]> =>
      names(await collector.read(overview(query)));
    expect(await read('search=MAIL')).toEqual(['Mail:1', 'mail:2']);
    expect(await read('sort=used&order=desc')).toEqual(['other', 'mail:2', 'Mail:1']);
    expect(await read('sort=used')).toEqual(['Mail:1', 'mail:2', 'other']);
    expect(await read('sort=rejected&order=desc&limit=1')).toEqual(['other']);
    expect(await read('order=desc&offset=1&limit=1')).toEqual(['mail:2']);
    expect(await read('offset=3')).toEqual([]);
    expect(await read('search=nothing')).toEqual([]);
  });

  test('tells of how many keys the totals are, until every key was looked at', async () => {
    for (let i = 0; i < 600; i++) await service.acquire(`key:${i}`);
    const counts: number[] = [];
    const { overview: part } = await watchUntil(({ overview: part }) => {
      const { keys, lookedAt, held } = part!.totals;
      expect(held).toBe(lookedAt);
      counts.push(lookedAt);
      return lookedAt === keys;
    });
    expect(part?.totals).toMatchObject({ keys: 600, held: 600 });
    expect(counts[0]).toBeGreaterThanOrEqual(50);
    expect(counts[0]).toBeLessThanOrEqual(300);
  });

  test.each([
    ['limit=1000000', { limit: MAX_ROWS }],
    ['limit=-1&offset=-5', { limit: 50, offset: 0 }],
    ['limit=x&offset=1e99&sort=constructor', { limit: 50, offset: 0, sort: 'name' }],
    ['limit=0', { limit: 0 }],
    ['limit=&offset=', { limit: 50, offset: 0 }],
  ])('a query of %s can be answered', (query, expected) => {
    expect(overview(query)).toMatchObject(expected);
  });

  test('shows one semaphore as `inspect` does', async () => {
    const forEver = { permits: 2, leaseMs: Infinity, label: '<b>first</b>' };
    await service.acquire('k', forEver);
    await service.acquire('k', { permits: 2 });
    await queued(service, () => service.acquire('k', { permits: 2, priority: 3 }));
    const { semaphore } = await watchUntil(({ semaphore }) => semaphore !== undefined, {
      type: 'semaphore',
      key: 'k',
    });
    const snapshot = await service.inspect('k');
    expect(semaphore).toMatchObject({ permits: 2, held: 2, holding: 2, waiting: 1, available: 0 });
    expect(semaphore?.waiters).toEqual(snapshot.waiters);
    expect(semaphore?.holders).toEqual([
      { ...snapshot.holders[0], expiresAt: null },
      snapshot.holders[1],
    ]);
    expect(semaphore?.oldestWaitSince).toBe(snapshot.waiters[0]?.enqueuedAt);
    expect(semaphore?.timeline.total).toMatchObject({ acquired: 2 });
  });

  test('tells the time of the store, by which its leases and waits are counted', async () => {
    const clock = new VirtualClock(Date.now() - 3_600_000);
    const elsewhere = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }) });
    const late = new Collector(elsewhere);
    await elsewhere.acquire('k', { leaseMs: 20_000, renew: false });
    await clock.advance(5_000);
    for (const view of [overview(), { type: 'semaphore', key: 'k' } as const]) {
      const { now, storeNow } = await late.read(view);
      expect(Math.abs(now - Date.now())).toBeLessThan(5_000);
      expect(Math.abs(storeNow - clock.wallTime())).toBeLessThan(1_000);
    }
    await clock.advance(600_000);
    const { storeNow } = await late.read({ type: 'semaphore', key: 'k' });
    expect(Math.abs(storeNow - clock.wallTime())).toBeLessThan(1_000);
    late.close();
    await elsewhere.close();
  });

  test('tells whether the limit is pinned', async () => {
    await service.acquire('k', { permits: 2 });
    const shown = (expected: boolean): Promise<Frame> =>
      watchUntil(({ semaphore }) => semaphore?.pinned === expected, {
        type: 'semaphore',
        key: 'k',
      });
    await shown(false);
    await service.setPermits('k', 2);
    await shown(true);
    await service.setPermits('k', null);
    await shown(false);
  });

  test('asks for as much, however many watch', async () => {
    await service.acquire('k');
    const looks = countLooks();
    let frames = 0;
    let stops: (() => void)[] = [];
    await new Promise<void>((resolve) => {
      stops = Array.from({ length: 50 }, () =>
        collector.watch(overview(), () => {
          if (++frames === 150) resolve();
        }),
      );
    });
    for (const stop of stops) stop();
    expect(looks.asked).toBeGreaterThan(0);
    expect(looks.asked).toBeLessThanOrEqual(4);
  });

  test('between two rounds it asks for what newcomers see, and tells them alone', async () => {
    const keys = Array.from({ length: 3_000 }, (_, i) => `key:${i}`);
    await Promise.all(keys.map((key) => service.acquire(key)));
    const looks = countLooks();
    const begun = performance.now();
    let frames = 0;
    const stop = collector.watch(overview('limit=1'), () => frames++);
    for (let offset = 1; offset <= 12; offset++) {
      await watchUntil(isListed, overview(`limit=1&offset=${offset}`));
    }
    stop();
    const rounds = 1 + (performance.now() - begun) / 500;
    expect(frames).toBeLessThanOrEqual(rounds);
    expect(looks.asked).toBeLessThanOrEqual(rounds * 250 + 13);
  });

  test('who comes while the store is asked is next, and told nothing before', async () => {
    const internals = internalsOf(service);
    const look = internals.look.bind(internals);
    let answer!: () => void;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const asked = new Promise<void>((resolve) => {
      internals.look = async (key) => {
        resolve();
        await answered;
        return look(key);
      };
    });
    let frames = 0;
    const stop = collector.watch({ type: 'semaphore', key: 'first' }, () => frames++);
    await asked;
    const newcomer = watchUntil(() => true, { type: 'semaphore', key: 'second' });
    answer();
    expect((await newcomer).semaphore).toMatchObject({ key: 'second' });
    expect(frames).toBe(1);
    stop();
  });

  test('asks for all viewers, and so in the async context of none', async () => {
    await service.acquire('k');
    const contexts = new AsyncLocalStorage<string>();
    const internals = internalsOf(service);
    const look = internals.look.bind(internals);
    const seen = new Promise<string | undefined>((resolve) => {
      internals.look = (key) => {
        resolve(contexts.getStore());
        return look(key);
      };
    });
    const stop = contexts.run('a request', () =>
      collector.watch({ type: 'semaphore', key: 'k' }, () => undefined),
    );
    expect(await seen).toBeUndefined();
    stop();
  });

  test('asks nothing while nobody watches', async () => {
    await service.acquire('k');
    await watchUntil(({ overview: part }) => part?.matching === 1);
    const looks = countLooks();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(looks.asked).toBe(0);
  });

  test('a service that is a mock is shown as a store that does not answer', async () => {
    const mock = { list: service.list.bind(service) } as SemaphoreService;
    await service.acquire('k');
    const mocked = new Collector(mock);
    const { storeDown } = await mocked.read(overview());
    expect(storeDown).toMatchObject({ message: expect.stringContaining('a SemaphoreService') });
    mocked.close();
  });

  test('a call that fails when the outage is over makes no new one of it', async () => {
    const internals = internalsOf(service);
    let fail = (_: Error): void => undefined;
    internals.look = () => new Promise((_, reject) => (fail = reject));
    const told: (string | undefined)[] = [];
    await new Promise<void>((resolve) => {
      const stop = collector.watch({ type: 'semaphore', key: 'k' }, ({ storeDown }) => {
        if (told.push(storeDown?.message) < 3) return;
        stop();
        resolve();
      });
      internals.core.down(new Error('away'));
      internals.core.up();
      fail(new Error('late'));
    });
    expect(told).toEqual(['away', undefined, undefined]);
  });

  test('a listing that failed during an outage makes no new one of it', async () => {
    const { core } = internalsOf(service);
    const list = service.list.bind(service);
    await service.acquire('k');
    service.list = () => {
      throw new Error('late');
    };
    core.down(new Error('away'));
    for (let i = 0; i < 2; i++) {
      expect((await collector.read(overview())).storeDown).toMatchObject({ message: 'away' });
    }
    service.list = list;
    core.up();
    expect((await collector.read(overview())).storeDown).toBeNull();
    const frame = await watchUntil((frame) => {
      expect(frame.storeDown).toBeNull();
      return isListed(frame);
    });
    expect(names(frame)).toEqual(['k']);
  });

  test('a store that does not answer is shown, with what was known before', async () => {
    await service.acquire('k');
    await collector.read(overview());
    await service.close();
    const frame = await watchUntil(({ storeDown }) => storeDown !== null);
    expect(frame.storeDown).toMatchObject({ message: 'this process shuts down' });
    expect(names(frame)).toEqual(['k']);
  });

  test('a store that has not answered for long is shown as down, until it does', async () => {
    const { setInterval } = globalThis;
    let passTime = (): void => undefined;
    const spy = jest.spyOn(globalThis, 'setInterval').mockImplementation((callback, ms) => {
      if (ms === 15_000) passTime = callback;
      return setInterval(callback, ms);
    });
    await service.acquire('k');
    await collector.read(overview());
    const internals = internalsOf(service);
    const look = internals.look.bind(internals);
    let answer: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const isAsked = new Promise<void>((asked) => {
      internals.look = async (key) => {
        asked();
        await answered;
        return look(key);
      };
    });
    const frames: Frame[] = [];
    const stop = collector.watch({ type: 'semaphore', key: 'k' }, (frame) => frames.push(frame));
    await isAsked;
    passTime();
    expect(frames.at(-1)?.storeDown).toMatchObject({ message: 'no answer within 15 s' });
    answer();
    await watchUntil(({ storeDown }) => storeDown === null);
    stop();
    spy.mockRestore();
  });
});
