import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { mock } from 'node:test';
import { defer, lastValueFrom } from 'rxjs';
import {
  MemorySemaphoreStore,
  SemaphoreInterceptor,
  SemaphoreService,
  SingleFlightService,
} from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { SemaphoreLifecycle } from '../../lib/nest/semaphore.lifecycle.js';
import { nextEvent } from '../support/semaphores.js';

// Of Jest these replace `queueMicrotask` and `process.nextTick` too, which nothing runs until the test says so.
beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
  mock.reset();
});

test('beside fake timers a waiter gets its permit', async () => {
  const service = new SemaphoreService();
  const permit = await service.acquire('k');
  const next = service.acquire('k');
  await permit.release();
  await (await next).release();
  await service.close();
});

test('beside fake timers a follower gets the result of a single flight', async () => {
  const store = new MemorySemaphoreStore();
  const services = [new SemaphoreService({ store }), new SemaphoreService({ store })];
  const work = jest.fn(() => Promise.resolve('it'));
  const flights = services.map((service) => new SingleFlightService(service).run('k', work));
  expect(await Promise.all(flights)).toEqual(['it', 'it']);
  expect(work).toHaveBeenCalledTimes(1);
  for (const service of services) await service.close();
});

test('beside fake timers a handler gives back what it has used', async () => {
  const service = new SemaphoreService();
  const released = nextEvent(service, 'released');
  const handler = async (): Promise<boolean> => (await service.use('k')).isHeld;
  const context = { getHandler: () => handler, getType: () => 'ws' } as unknown as ExecutionContext;
  const next: CallHandler = { handle: () => defer(handler) };
  const handled = new SemaphoreInterceptor(service).intercept(context, next);
  expect(await lastValueFrom(handled)).toBe(true);
  await released;
  await service.close();
});

test('beside fake timers a VirtualClock ends leases', async () => {
  const clock = new VirtualClock();
  const store = new MemorySemaphoreStore({ clock });
  const service = new SemaphoreService({ store, log: 'none' });
  await service.acquire('k', { renew: false, leaseMs: 1_000 });
  const next = service.acquire('k');
  await clock.advance(1_000);
  expect((await next).isHeld).toBe(true);
  await service.close();
});

test('beside the fake timers of node:test, which take over timers/promises too, an application with waiters shuts down', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const service = new SemaphoreService({ log: 'none' });
  await service.acquire('k');
  const sentAway = expect(service.acquire('k')).rejects.toMatchObject({ code: 'SEMAPHORE_CLOSED' });
  await new SemaphoreLifecycle(service).beforeApplicationShutdown();
  await sentAway;
  await service.close();
}, 10_000);
