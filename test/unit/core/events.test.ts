import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { map, Subject } from 'rxjs';
import { detailOf, StoreUnavailableError } from '../../../lib/semaphore.errors.js';
import type { SemaphoreEvent } from '../../../lib/semaphore.events.js';
import type { LogLevel } from '../../../lib/semaphore.options.js';
import { SemaphoreService } from '../../../lib/semaphore.service.js';
import { ScriptedStore } from './scripted-store.js';

const log = { log: jest.fn(), warn: jest.fn(), error: jest.fn() };
let store: ScriptedStore;

beforeEach(() => {
  for (const level of ['log', 'warn', 'error'] as const) {
    log[level].mockReset();
    jest.spyOn(Logger.prototype, level).mockImplementation(log[level]);
  }
  store = new ScriptedStore();
});

afterEach(() => {
  jest.restoreAllMocks();
});

const service = (level: LogLevel = 'none') => new SemaphoreService({ store, log: level });

describe('events', () => {
  test('tell what happens, in order', async () => {
    const semaphores = service();
    const seen: SemaphoreEvent[] = [];
    let isComplete = false;
    semaphores.events.subscribe({
      next: (event) => seen.push(event),
      complete: () => (isComplete = true),
    });
    const permit = semaphores.acquire('k', { label: 'me', leaseMs: 3000 });
    const call = await store.take('acquire');
    call.answer({ status: 'waiting' });
    await store.clock.advance(100);
    store.client.granted('k', call.id, store.grant(3000));
    await store.clock.advance(1000);
    (await store.take('renew')).answer(store.lease(3000));
    await store.clock.advance(0);
    void (await permit).release();
    (await store.take('release')).answer('released');
    const refused = semaphores.acquire('k');
    (await store.take('acquire')).answer({ status: 'busy', retryAfterMs: 0 });
    await expect(refused).rejects.toMatchObject({ retryAfterMs: 1 });
    const lost = await store.hold(semaphores, {});
    store.client.revoked('k', lost.id);
    store.client.permitsChanged({ key: 'k', permits: 2, previous: 1, pinned: false });
    store.client.down(new Error('gone'));
    await store.clock.advance(50);
    store.client.up();
    await semaphores.close();

    expect(seen.map(({ type }) => type)).toEqual([
      'waiting',
      'acquired',
      'renewed',
      'released',
      'rejected',
      'acquired',
      'lost',
      'permits-changed',
      'store-down',
      'store-up',
    ]);
    expect(seen[1]).toMatchObject({ label: 'me', waitedMs: 100, fencingToken: 7, degraded: false });
    expect(seen[1]?.at).toBe(Date.UTC(2030, 0, 1) + 100);
    expect(seen[3]).toMatchObject({ outcome: 'released', permitId: call.id });
    expect(seen[9]).toMatchObject({ downMs: 50 });
    expect(isComplete).toBe(true);
  });

  test('of a key wait for the outcome of a release; those of others do not', async () => {
    const semaphores = service();
    const seen: string[] = [];
    const holder = await store.hold(semaphores, {});
    semaphores.events.subscribe(({ type, key }) => seen.push(`${type} ${String(key)}`));
    void holder.release();
    const release = await store.take('release');
    await store.hold(semaphores, {});
    store.client.permitsChanged({ key: 'other', permits: 2, previous: 1, pinned: false });
    expect(seen).toEqual(['permits-changed other']);
    release.answer('expired');
    await store.clock.advance(0);
    expect(seen.slice(1)).toEqual(['released k', 'acquired k']);
  });

  test('that wait for an outcome are told at the end at the latest', async () => {
    const semaphores = service();
    const seen: string[] = [];
    const holder = await store.hold(semaphores, {});
    semaphores.events.subscribe(({ type }) => seen.push(type));
    void holder.release();
    await store.take('release');
    await store.hold(semaphores, {});
    const closed = semaphores.close();
    await store.clock.advance(60_000);
    await closed;
    expect(seen).toEqual(['acquired']);
  });

  test('can say of anything that is thrown what it is', () => {
    expect(['text', 5, undefined, Object.create(null)].map(detailOf)).toEqual([
      'text',
      '5',
      'undefined',
      '[object Object]',
    ]);
  });

  test('of a lost permit do not wait for the outcome of another release', async () => {
    const semaphores = service();
    const seen: string[] = [];
    const [holder, lost] = [await store.hold(semaphores, {}), await store.hold(semaphores, {})];
    semaphores.events.subscribe(({ type }) => seen.push(type));
    void holder.release();
    const release = await store.take('release');
    store.client.revoked('k', lost.id);
    expect(seen).toEqual(['lost']);
    const late = await store.hold(semaphores, {});
    store.client.revoked('k', late.id);
    release.answer('released');
    await store.clock.advance(0);
    expect(seen).toEqual(['lost', 'released', 'acquired', 'lost']);
  });

  test('of a degraded permit are told too', async () => {
    const semaphores = service();
    const seen: SemaphoreEvent[] = [];
    semaphores.events.subscribe((event) => seen.push(event));
    const permit = semaphores.acquire('k', { onStoreFailure: 'allow' });
    (await store.take('acquire')).fail(new StoreUnavailableError('gone'));
    await (await permit).release();
    expect(seen).toMatchObject([{ type: 'acquired', degraded: true }, { type: 'released' }]);
  });

  test('reach everybody although a subscriber throws', async () => {
    const semaphores = service('problems');
    const uncaught = jest.fn();
    process.once('uncaughtException', uncaught);
    const seen: string[] = [];
    const relay = new Subject<SemaphoreEvent>();
    const fail = (): never => {
      throw new Error('subscriber');
    };
    semaphores.events.subscribe(fail);
    semaphores.events.subscribe({ next: fail, error: fail, complete: fail });
    semaphores.events.pipe(map(fail)).subscribe();
    semaphores.events.pipe(map(({ type }) => type)).subscribe(fail);
    semaphores.events.subscribe(relay);
    relay.subscribe(({ type }) => seen.push(type));
    const permit = await store.hold(semaphores, {});
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off('uncaughtException', uncaught);
    expect(permit.isHeld).toBe(true);
    expect(seen).toEqual(['acquired']);
    expect(uncaught).not.toHaveBeenCalled();
    expect(log.error).toHaveBeenCalledTimes(4);
    await semaphores.close();
  });
});

describe('the log', () => {
  const happen = async (level: LogLevel) => {
    const semaphores = service(level);
    const permit = await store.hold(semaphores, {});
    store.client.revoked('k', permit.id);
    store.client.down(new Error('gone'));
    store.client.up();
    await semaphores.close();
  };

  test("is silent with 'none'", async () => {
    await happen('none');
    expect([log.log, log.warn, log.error].flatMap(({ mock }) => mock.calls)).toEqual([]);
  });

  test("shows what goes wrong with 'problems'", async () => {
    await happen('problems');
    expect(log.log).not.toHaveBeenCalled();
    expect(log.warn).toHaveBeenCalledTimes(2);
    expect(log.error).toHaveBeenCalledTimes(1);
  });

  test("shows everything with 'all', and may throw", async () => {
    log.log.mockImplementation(() => {
      throw new Error('logger');
    });
    await happen('all');
    expect(log.log).toHaveBeenCalledTimes(1);
  });
});
