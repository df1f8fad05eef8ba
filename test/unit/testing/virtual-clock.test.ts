import assert from 'node:assert/strict';
import { describe, it } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';

describe('VirtualClock', () => {
  it('stands still until it is advanced', async () => {
    const clock = new VirtualClock(1_000);
    assert.deepEqual([clock.now(), clock.wallTime()], [0, 1_000]);
    await clock.advance(250);
    assert.deepEqual([clock.now(), clock.wallTime()], [250, 1_250]);
  });

  it.each([Number.NaN, Infinity, null, '5', new Date(0)])('does not start at %p', (startsAt) => {
    const error = { code: 'SEMAPHORE_INVALID_OPTIONS', option: 'startsAt' };
    assert.throws(() => new VirtualClock(startsAt as never), error);
  });

  it.each([-1, Number.NaN, Infinity, '5' as never])('does not advance by %s', async (ms) => {
    const clock = new VirtualClock();
    await assert.rejects(clock.advance(ms), { code: 'SEMAPHORE_INVALID_OPTIONS', option: 'ms' });
    assert.equal(clock.now(), 0);
  });

  it('fires timers in the order of their times, at their times', async () => {
    const clock = new VirtualClock();
    const fired: [string, number][] = [];
    for (const [name, delay] of [
      ['c', 30],
      ['a', 10],
      ['b', 10],
      ['now', 0],
      ['overdue', -10],
    ] as const) {
      clock.schedule(() => fired.push([name, clock.now()]), delay);
    }
    await clock.advance(29);
    assert.deepEqual(fired, [
      ['now', 0],
      ['overdue', 0],
      ['a', 10],
      ['b', 10],
    ]);
    await clock.advance(1);
    assert.deepEqual(fired.at(-1), ['c', 30]);
    assert.equal(clock.pendingTimers, 0);
  });

  it('does not fire timers that were stopped', async () => {
    const clock = new VirtualClock();
    let fired = 0;
    const stop = clock.schedule(() => fired++, 10);
    const stopByTimer = clock.schedule(() => fired++, 20);
    clock.schedule(stopByTimer, 15);
    stop();
    stop();
    await clock.advance(100);
    assert.equal(fired, 0);
  });

  it('lets promises settle before the next timer fires', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.schedule(() => {
      void Promise.resolve()
        .then(() => undefined)
        .then(() => seen.push('promise'));
    }, 10);
    clock.schedule(() => seen.push('timer'), 10);
    await clock.advance(10);
    assert.deepEqual(seen, ['promise', 'timer']);
  });

  it('fires timers that are set while it goes on', async () => {
    const clock = new VirtualClock();
    const times: number[] = [];
    const tick = (): void => {
      times.push(clock.now());
      clock.schedule(tick, 10);
    };
    clock.schedule(tick, 10);
    await clock.advance(35);
    assert.deepEqual(times, [10, 20, 30]);
    assert.equal(clock.now(), 35);
  });

  it('never fires a timer with an infinite delay', async () => {
    const clock = new VirtualClock();
    let fired = 0;
    clock.schedule(() => fired++, Infinity);
    await clock.advance(1e12);
    assert.equal(fired, 0);
  });

  it('ends a lease at its time, and tells its holder before the next one', async () => {
    const clock = new VirtualClock();
    const semaphores = new SemaphoreService({
      store: new MemorySemaphoreStore({ clock }),
      log: 'none',
    });
    const told: string[] = [];
    const permit = await semaphores.acquire('k', { leaseMs: 30_000, renew: false });
    permit.signal.addEventListener('abort', () => told.push(`lost ${Math.round(clock.now())}`));
    const next = semaphores
      .acquire('k', { waitMs: 60_000 })
      .then(() => told.push(`acquired ${Math.round(clock.now())}`));

    await clock.advance(29_999);
    assert.equal(permit.isHeld, true);
    assert.equal(Math.round(permit.remainingMs), 1);
    await clock.advance(1);
    assert.equal(permit.isHeld, false);
    await next;
    assert.deepEqual(told, ['lost 30000', 'acquired 30000']);
  });

  it('does not go back when it is told to go on twice at once', async () => {
    const clock = new VirtualClock();
    await Promise.all([clock.advance(100), clock.advance(10)]);
    assert.equal(clock.now(), 100);
  });

  it('stops no other timer when one is stopped that has fired', async () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    const stop = clock.schedule(() => fired.push('first'), 1);
    clock.schedule(() => fired.push('second'), 2);
    await clock.advance(1);
    stop();
    await clock.advance(1);
    assert.deepEqual(fired, ['first', 'second']);
  });
});
