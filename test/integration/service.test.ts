import { describe, expect, test } from '@jest/globals';
import {
  AcquireAbortedError,
  PermitLostError,
  PermitUnavailableError,
  SemaphoreClosedError,
  type SemaphoreEvent,
  type SemaphoreService,
} from 'nestjs-semaphore';
import { toArray } from 'rxjs';
import { withRedis } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { aborted, nextEvent, queued, rejection, Semaphores } from '../support/semaphores.js';

const server = useRedis();

/** Each test has two "processes" with a prefix of their own. */
function withServices(
  task: (one: SemaphoreService, other: SemaphoreService) => Promise<void>,
): () => Promise<void> {
  return async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    await task(semaphores.open(), semaphores.open());
  };
}

describe('acquire', () => {
  test(
    'takes as many units as it weighs, and hands them on',
    withServices(async (one, other) => {
      const options = { permits: 5, label: 'work' };
      const permit = await one.acquire('k', { ...options, weight: 3 });
      expect(permit).toMatchObject({
        key: 'k',
        keys: ['k'],
        weight: 3,
        label: 'work',
        isHeld: true,
      });
      expect(permit.degraded).toBe(false);
      const { outcome } = await queued(other, () => other.acquire('k', { ...options, weight: 4 }));
      expect(await one.inspect('k')).toMatchObject({ permits: 5, held: 3, available: 2 });
      expect(await permit.release()).toBe('released');
      expect((await outcome).weight).toBe(4);
    }),
  );

  test(
    'serves by priority, then by arrival, and nobody barges',
    withServices(async (one, other) => {
      const holder = await one.acquire('k');
      const order: string[] = [];
      const outcomes: Promise<void>[] = [];
      for (const [label, priority] of [
        ['a', 0],
        ['b', 0],
        ['c', 5],
        ['d', 5],
      ] as const) {
        const service: SemaphoreService = outcomes.length % 2 === 0 ? one : other;
        const task = (): void => void order.push(label);
        const start = () => service.withPermit('k', task, { label, priority });
        outcomes.push((await queued(service, start)).outcome);
      }
      const { waiters } = await one.inspect('k');
      expect(waiters.map(({ label }) => label)).toEqual(['c', 'd', 'a', 'b']);
      await holder.release();
      await Promise.all(outcomes);
      expect(order).toEqual(['c', 'd', 'a', 'b']);
    }),
  );

  test(
    'rejects when no permit became free in time, and leaves the queue',
    withServices(async (one, other) => {
      await one.acquire('k');
      const error = await rejection(other.acquire('k', { waitMs: 50 }));
      expect(error).toBeInstanceOf(PermitUnavailableError);
      expect(error).toMatchObject({ reason: 'timeout', code: 'SEMAPHORE_TIMEOUT', key: 'k' });
      expect((error as PermitUnavailableError).retryAfterMs).toBeGreaterThanOrEqual(1);
      await other.inspect('k');
      expect((await one.inspect('k')).waiters).toEqual([]);
    }),
  );

  test(
    "gives up when the caller's signal is aborted, before and while it waits",
    withServices(async (one, other) => {
      const reason = new Error('enough');
      const gone = AbortSignal.abort(reason);
      const early = await rejection(other.acquire('k', { signal: gone }));
      expect(early).toBeInstanceOf(AcquireAbortedError);
      expect(early).toMatchObject({ cause: reason, key: 'k' });
      const holder = await one.acquire('k');
      const controller = new AbortController();
      const { signal } = controller;
      const { outcome } = await queued(other, () => other.acquire('k', { signal }));
      controller.abort(reason);
      expect(await rejection(outcome)).toMatchObject({ cause: reason });
      await holder.release();
      await (await one.acquire('k')).release();
      expect(await one.inspect('k')).toMatchObject({ held: 0, waiters: [] });
    }),
  );

  test(
    'rejects at once when too many wait, over all processes',
    withServices(async (one, other) => {
      const holder = await one.acquire('k');
      const first = await queued(one, () => one.acquire('k', { maxWaiting: 1 }));
      const error = await rejection(other.acquire('k', { maxWaiting: 1 }));
      expect(error).toMatchObject({ reason: 'queue-full', code: 'SEMAPHORE_QUEUE_FULL' });
      await holder.release();
      await (await first.outcome).release();
    }),
  );

  test(
    'tokens of a key grow from holder to holder',
    withServices(async (one, other) => {
      let last = 0;
      for (let i = 0; i < 20; i++) {
        await using permit = await (i % 2 === 0 ? one : other).acquire('k');
        expect(Number.isSafeInteger(permit.fencingToken)).toBe(true);
        expect(permit.fencingToken).toBeGreaterThan(last);
        last = permit.fencingToken;
      }
    }),
  );
});

describe('tryAcquire', () => {
  test(
    'is null when nothing is free, also when somebody waits for what is free',
    withServices(async (one, other) => {
      const holder = await one.acquire('k', { permits: 2 });
      const start = () => one.acquire('k', { permits: 2, weight: 2 });
      const heavy = await queued(one, start);
      expect(await other.tryAcquire('k', { permits: 2 })).toBeNull();
      await holder.release();
      await (await heavy.outcome).release();
      const permit = await other.tryAcquire('k', { permits: 2 });
      expect(permit?.isHeld).toBe(true);
      await permit?.release();
    }),
  );
});

describe('withPermit and bind', () => {
  test(
    'pass result and error on, and release in any case',
    withServices(async (one, other) => {
      expect(await one.withPermit('k', ({ isHeld }) => isHeld)).toBe(true);
      const error = new Error('from the task');
      const failing = one.withPermit('k', () => {
        throw error;
      });
      expect(await rejection(failing)).toBe(error);
      expect(await rejection(one.withPermit('k', () => Promise.reject(error)))).toBe(error);
      expect(await other.tryAcquire('k')).not.toBeNull();
    }),
  );

  test(
    'a bound function keeps its name, its arguments and its this',
    withServices(async (one, other) => {
      const counter = {
        count: 1,
        add(by: number): number {
          return (this.count += by);
        },
      };
      const add = one.bind('k', counter.add);
      expect([add.name, add.length]).toEqual(['add', 1]);
      expect(await add.call(counter, 2)).toBe(3);
      expect(await other.inspect('k')).toMatchObject({ held: 0 });
    }),
  );

  test(
    'reentrant takes no second permit, others do',
    withServices(async (one) => {
      const nested = one.withPermit('k', (outer) =>
        one.withPermit('k', (inner) => inner.id === outer.id, { reentrant: true }),
      );
      expect(await nested).toBe(true);
      const deadlock = one.withPermit('k', () => one.tryAcquire('k'));
      expect(await deadlock).toBeNull();
    }),
  );
});

describe('Several keys', () => {
  test(
    'are had together or not at all',
    withServices(async (one, other) => {
      const busy = await one.acquire('b');
      expect(await other.tryAcquire(['a', 'b', 'c'])).toBeNull();
      expect((await one.inspect('a')).held).toBe(0);
      expect(await rejection(other.acquire(['a', 'b'], { waitMs: 50 }))).toMatchObject({
        reason: 'timeout',
      });
      const free = await one.acquire(['c', 'a', 'c']);
      expect(free.keys).toEqual(['c', 'a']);
      expect([...free.fencingTokens.keys()].toSorted()).toEqual(['a', 'c']);
      expect(free.fencingToken).toBe(free.fencingTokens.get('c'));
      expect(await free.release()).toBe('released');
      await busy.release();
      expect(await (await other.acquire(['a', 'b', 'c'])).release()).toBe('released');
    }),
  );

  test(
    'taken in opposite orders never block each other',
    withServices(async (one, other) => {
      const inside = new Map<string, number>();
      const round = (service: SemaphoreService, keys: string[]): Promise<void> =>
        service.withPermit(keys, async () => {
          for (const key of keys) {
            expect(inside.get(key) ?? 0).toBe(0);
            inside.set(key, 1);
          }
          await new Promise(setImmediate);
          for (const key of keys) inside.set(key, 0);
        });
      const rounds = Array.from({ length: 100 }, () => [
        round(one, ['a', 'b', 'c']),
        round(other, ['c', 'b', 'a']),
        round(one, ['b', 'a']),
        round(other, ['c', 'a']),
      ]);
      await Promise.all(rounds.flat());
    }),
  );
});

describe('The limit', () => {
  test(
    'stored last holds, and an event tells; a pinned one is kept',
    withServices(async (one, other) => {
      const holder = await one.acquire('k', { permits: 1 });
      const waiting = await queued(one, () => one.acquire('k', { permits: 1 }));
      const changed = nextEvent(other, 'permits-changed');
      const raised = other.acquire('k', { permits: 3 });
      expect(await changed).toMatchObject({ key: 'k', permits: 3, previous: 1, pinned: false });
      const permits = [holder, await waiting.outcome, await raised];

      const pinned = nextEvent(other, 'permits-changed');
      await other.setPermits('k', 2);
      expect(await pinned).toMatchObject({ permits: 2, previous: 3, pinned: true });
      expect(permits.every(({ isHeld }) => isHeld)).toBe(true);
      expect(await one.inspect('k')).toMatchObject({ permits: 2, held: 3, available: 0 });
      expect(await one.tryAcquire('k', { permits: 10 })).toBeNull();
      for (const permit of permits) await permit.release();
      expect(await one.inspect('k')).toMatchObject({ permits: 2, held: 0 });

      await other.setPermits('k', null);
      await (await one.acquire('k', { permits: 4 })).release();
      expect(await one.inspect('k')).toMatchObject({ permits: 4 });
    }),
  );
});

describe('inspect, list and forceRelease', () => {
  test(
    'show who holds and who waits',
    withServices(async (one, other) => {
      const permit = await one.acquire('k', { label: 'holder', leaseMs: 60_000 });
      const start = () => other.acquire('k', { label: 'waiter', priority: 3 });
      const { outcome } = await queued(other, start);
      const { holders, waiters } = await other.inspect('k');
      expect(holders).toEqual([
        {
          id: permit.id,
          weight: 1,
          label: 'holder',
          client: expect.stringContaining(`:${process.pid}:`),
          fencingToken: permit.fencingToken,
          acquiredAt: permit.acquiredAt,
          expiresAt: permit.expiresAt,
        },
      ]);
      expect(waiters).toMatchObject([{ label: 'waiter', weight: 1, priority: 3 }]);
      expect(waiters[0]?.enqueuedAt).toBeGreaterThanOrEqual(permit.acquiredAt);
      await permit.release();
      await (await outcome).release();
    }),
  );

  test(
    'list the keys in use that match',
    withServices(async (one, other) => {
      const permit = await one.acquire(['report:1', 'report:2', 'order:1']);
      await (await one.acquire('report:3')).release();
      const list = async (pattern?: string): Promise<string[]> => {
        const keys = [];
        for await (const key of other.list(pattern)) keys.push(key);
        return keys.toSorted();
      };
      expect(await list()).toEqual(['order:1', 'report:1', 'report:2']);
      expect(await list('report:?')).toEqual(['report:1', 'report:2']);
      expect(await list('*:[1]')).toEqual(['order:1', 'report:1']);
      await permit.release();
      expect(await list()).toEqual([]);
    }),
  );

  test('list passes by what is none of ours', async () => {
    await using semaphores = new Semaphores({ redis: server.url });
    const service = semaphores.open();
    await withRedis(server.port, async (admin) => {
      await admin.hset(`${semaphores.prefix}:{hash}`, 'a', 'b');
      await admin.set(`${semaphores.prefix}:{text}`, 'hello');
    });
    const permit = await service.acquire('k');
    const keys = [];
    for await (const key of service.list()) keys.push(key);
    expect(keys).toEqual(['k']);
    await permit.release();
  });

  test(
    'a release by force aborts the holder and admits the next',
    withServices(async (one, other) => {
      const permit = await one.acquire('k');
      const lost = aborted(permit.signal);
      const { outcome } = await queued(other, () => other.acquire('k'));
      expect(await other.forceRelease('k', permit.id)).toBe(true);
      expect(await lost).toBeInstanceOf(PermitLostError);
      expect(permit.signal.reason).toMatchObject({ reason: 'forced', permitId: permit.id });
      expect(await permit.release()).toBe('expired');
      const next = await outcome;
      expect(await other.forceRelease('k', permit.id)).toBe(false);
      expect(next.isHeld).toBe(true);
      await next.release();
    }),
  );
});

test(
  'The events of a release by force come before those of what it made possible',
  withServices(async (one, other) => {
    for (const admin of [one, other]) {
      const told: string[] = [];
      const subscription = one.events.subscribe((event) => {
        const isTold = event.type === 'lost' || event.type === 'acquired';
        if (isTold) told.push(`${event.type} ${event.permitId}`);
      });
      const permit = await one.acquire('k');
      const { outcome } = await queued(one, () => one.acquire('k'));
      expect(await admin.forceRelease('k', permit.id)).toBe(true);
      const next = await outcome;
      expect(told).toEqual([`acquired ${permit.id}`, `lost ${permit.id}`, `acquired ${next.id}`]);
      await next.release();
      subscription.unsubscribe();
    }
  }),
);

describe('holdAtLeastMs', () => {
  test(
    'keeps a released permit taken for a while',
    withServices(async (one, other) => {
      const permit = await one.acquire('k', { holdAtLeastMs: 400 });
      const acquired = performance.now();
      expect(await permit.release()).toBe('released');
      expect(permit.isHeld).toBe(false);
      expect(await other.tryAcquire('k')).toBeNull();
      await other.acquire('k');
      expect(performance.now() - acquired).toBeGreaterThan(300);
    }),
  );
});

/** How many permits were held at most, by what the events say. */
async function mostByEvents(service: SemaphoreService, permits: number): Promise<number> {
  const held = new Set<string>();
  let most = 0;
  let ended = 0;
  service.events.subscribe((event) => {
    if (event.type === 'acquired') most = Math.max(most, held.add(event.permitId).size);
    if (event.type === 'released' && held.delete(event.permitId)) ended++;
  });
  const work = (): Promise<unknown> =>
    service.withPermit('k', () => new Promise(setImmediate), { permits, waitMs: 10_000 });
  await Promise.all(Array.from({ length: 40 }, work));
  expect(ended).toBe(40);
  return most;
}

describe('Events', () => {
  test.each([1, 3])('never show more than %d holders of as many permits', async (permits) => {
    await using semaphores = new Semaphores({});
    const redis = { redis: server.url };
    expect(await mostByEvents(semaphores.open(), permits)).toBe(permits);
    expect(await mostByEvents(semaphores.open(redis), permits)).toBe(permits);
  });

  test(
    'tell the life of permits, in order',
    withServices(async (one, other) => {
      const holder = await other.acquire('k');
      const all = new Promise<SemaphoreEvent[]>((resolve) => {
        one.events.pipe(toArray()).subscribe(resolve);
      });
      const { outcome } = await queued(one, () => one.acquire('k', { label: 'seen' }));
      await rejection(one.acquire('k', { waitMs: 0 }));
      await holder.release();
      const permit = await outcome;
      await permit.renew();
      await permit.release();
      const lost = await one.acquire('k', { leaseMs: 100, renew: false });
      await aborted(lost.signal);
      await one.close();
      const types = (await all).map(({ type }) => type);
      expect(types.filter((type) => type !== 'renewed')).toEqual([
        'waiting',
        'rejected',
        'acquired',
        'released',
        'acquired',
        'lost',
      ]);
      expect(types).toContain('renewed');
      expect((await all)[0]).toMatchObject({ key: 'k', permitId: permit.id, label: 'seen' });
    }),
  );

  test(
    'a subscriber that throws changes nothing',
    withServices(async (one) => {
      one.events.subscribe(() => {
        throw new Error('from a subscriber');
      });
      expect(await one.withPermit('k', () => 'done')).toBe('done');
    }),
  );
});

describe('close', () => {
  test(
    'sends waiters away, takes nobody in, and leaves the queue to others',
    withServices(async (one, other) => {
      const holder = await other.acquire('k');
      const first = await queued(one, () => one.acquire('k', { waitMs: Infinity }));
      const second = await queued(other, () => other.acquire('k'));
      await one.close();
      expect(await rejection(first.outcome)).toBeInstanceOf(SemaphoreClosedError);
      expect(await rejection(one.acquire('k'))).toBeInstanceOf(SemaphoreClosedError);
      expect(await rejection(one.inspect('k'))).toBeInstanceOf(SemaphoreClosedError);
      expect((await other.inspect('k')).waiters).toHaveLength(1);
      await holder.release();
      expect((await second.outcome).isHeld).toBe(true);
    }),
  );

  test(
    'gives back what was released just before',
    withServices(async (one, other) => {
      const permit = await one.acquire('k');
      const released = permit.release();
      await one.close();
      expect(await released).toBe('released');
      expect(await other.inspect('k')).toMatchObject({ held: 0 });
    }),
  );

  test(
    'gives back what is released in the turn in which it begins',
    withServices(async (one, other) => {
      const permit = await one.acquire('k');
      const closed = one.close();
      const released = permit.release();
      await closed;
      expect(await released).toBe('released');
      expect(await other.inspect('k')).toMatchObject({ held: 0 });
    }),
  );
});
