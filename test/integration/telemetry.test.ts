import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { trace } from '@opentelemetry/api';
import {
  MemorySemaphoreStore,
  type SemaphoreEvent,
  type SemaphoreModuleOptions,
  SingleFlightService,
} from 'nestjs-semaphore';
import { internalsOf } from '../../lib/service-internals.js';
import { Job, untilFollowed } from '../support/flights.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { nextEvent, queued, rejection, Semaphores } from '../support/semaphores.js';
import { Telemetry } from '../support/telemetry.js';

const NAME = 'semaphore_name';
let telemetry: Telemetry;
const redis = useRedis();
let names = 0;

beforeAll(async () => {
  telemetry = await Telemetry.start();
});

afterAll(async () => {
  await telemetry[Symbol.asyncDispose]();
});

/** A name that no other test uses, and what was measured under it. */
function measured() {
  const name = `name-${names++}`;
  const value = (metric: string, labels: Record<string, string> = {}) =>
    telemetry.value(metric, { [NAME]: name, ...labels });
  const spans = () => telemetry.spans(`semaphore wait ${name}`);
  return { name, value, spans };
}

const stores: [string, () => SemaphoreModuleOptions][] = [
  ['memory', () => ({ store: new MemorySemaphoreStore() })],
  ['Redis', () => ({ redis: redis.url })],
];

describe.each(stores)('telemetry of semaphores in %s', (_store, options) => {
  test('counts what is held, which is less than was asked for where the limit is', async () => {
    await using semaphores = new Semaphores(options());
    const service = semaphores.open();
    const { name, value, spans } = measured();
    await service.setPermits('k', 2);
    const events: SemaphoreEvent[] = [];
    service.events.subscribe((event) => events.push(event));
    const permit = await service.acquire('k', { name, permits: 3, weight: 3 });
    expect(await value('semaphore_permits_held')).toBe(2);
    expect(spans().map(({ attributes }) => attributes['semaphore.weight'])).toEqual([2]);
    expect(await service.inspect('k')).toMatchObject({ held: 2 });
    await permit.release();
    expect(await value('semaphore_permits_held')).toBe(0);
    expect(events).toMatchObject([
      { type: 'acquired', weight: 2 },
      { type: 'released', weight: 2 },
    ]);
  });

  test('counts who holds and who waits while they do, over processes', async () => {
    await using semaphores = new Semaphores(options());
    const [one, other] = [semaphores.open(), semaphores.open()];
    const { name, value } = measured();
    const heavy = await one.acquire('k', { name, permits: 3, weight: 3 });
    const waiting = await queued(other, () => other.acquire('k', { name, permits: 3, weight: 2 }));
    expect(await value('semaphore_permits_held')).toBe(3);
    expect(await value('semaphore_waiters')).toBe(1);
    await heavy.release();
    const next = await waiting.outcome;
    expect(await value('semaphore_permits_held')).toBe(2);
    expect(await value('semaphore_waiters')).toBe(0);
    await next.release();
    expect(await value('semaphore_permits_held')).toBe(0);
    expect(await value('semaphore_acquired_total')).toBe(2);
    expect(await value('semaphore_acquired_total', { semaphore_degraded: 'true' })).toBe(0);
    expect(await value('semaphore_hold_duration_count')).toBe(2);
    expect(await value('semaphore_wait_duration_count')).toBe(2);
  });

  test('measures in seconds', async () => {
    await using semaphores = new Semaphores(options());
    const service = semaphores.open();
    const { name, value } = measured();
    const permit = await service.acquire('k', { name });
    const startedAt = performance.now();
    const late = await rejection(service.acquire('k', { name, waitMs: 50 }));
    const waitedMs = performance.now() - startedAt;
    await permit.release();
    expect(late).toMatchObject({ reason: 'timeout' });
    const seconds = await value('semaphore_wait_duration_sum', { semaphore_reason: 'timeout' });
    expect(seconds).toBeGreaterThan(0.045);
    expect(seconds).toBeLessThanOrEqual(waitedMs / 1000);
    const held = await value('semaphore_hold_duration_sum');
    expect(held).toBeGreaterThan(0.045);
    expect(held).toBeLessThan((performance.now() - startedAt) / 1000 + 1);
    const text = await telemetry.text();
    for (const metric of ['semaphore_wait_duration', 'semaphore_hold_duration']) {
      expect(text).toContain(`# UNIT ${metric} s\n`);
      expect(text).toMatch(new RegExp(`^${metric}_bucket{.*le="3600"`, 'm'));
    }
  });

  test('tells why none was acquired', async () => {
    await using semaphores = new Semaphores(options());
    const service = semaphores.open();
    const { name, value, spans } = measured();
    const permit = await service.acquire('k', { name });
    const patient = await queued(service, () => service.acquire('k', { name }));
    expect(await service.tryAcquire('k', { name })).toBeNull();
    await rejection(service.acquire('k', { name, maxWaiting: 1 }));
    await rejection(service.acquire('k', { name, waitMs: 1 }));
    await rejection(service.acquire('k', { name, signal: AbortSignal.abort() }));
    service.beginClose();
    await rejection(patient.outcome);
    await permit.release();
    await service.close();
    const reasons = ['busy', 'queue-full', 'timeout', 'aborted', 'closed'];
    for (const reason of reasons) {
      expect(await value('semaphore_rejected_total', { semaphore_reason: reason })).toBe(1);
    }
    expect(await value('semaphore_rejected_total')).toBe(reasons.length);
    expect(await value('semaphore_waiters')).toBe(0);
    const outcomes = spans().map(({ attributes }) => attributes['semaphore.outcome']);
    expect(outcomes.map(String).toSorted()).toEqual(['acquired', ...reasons].toSorted());
  });

  test('tells of permits that are lost', async () => {
    await using semaphores = new Semaphores(options());
    const service = semaphores.open();
    const { name, value } = measured();
    const lost = nextEvent(service, 'lost');
    await service.acquire('short', { name, leaseMs: 20, renew: false });
    await lost;
    const forced = await service.acquire('long', { name });
    const gone = nextEvent(service, 'lost');
    await service.forceRelease('long', forced.id);
    await gone;
    expect(await forced.release()).toBe('expired');
    expect(await value('semaphore_lost_total', { semaphore_reason: 'expired' })).toBe(1);
    expect(await value('semaphore_lost_total', { semaphore_reason: 'forced' })).toBe(1);
    expect(await value('semaphore_hold_duration_count', { semaphore_reason: 'forced' })).toBe(1);
    expect(await value('semaphore_permits_held')).toBe(0);
  });

  test('makes each wait a child of the span that its caller works in', async () => {
    await using semaphores = new Semaphores(options());
    const service = semaphores.open();
    const { name, spans } = measured();
    const tracer = trace.getTracer('test');
    const work = (title: string, keys: string | string[]) =>
      tracer.startActiveSpan(title, async (span) => {
        const permit = await service.acquire(keys, { name, permits: 2, weight: 2 });
        span.end();
        return { permit, id: span.spanContext().spanId, trace: span.spanContext().traceId };
      });
    const first = await work('first', ['a', 'b']);
    const blocked = work('second', 'b');
    await nextEvent(service, 'waiting');
    await first.permit.release();
    const second = await blocked;
    await second.permit.release();

    const parts = spans().map((span) => ({
      parent: span.parentSpanContext?.spanId,
      trace: span.spanContext().traceId,
      token: span.attributes['semaphore.fencing_token'],
    }));
    const { fencingTokens } = first.permit;
    expect(parts).toEqual([
      { parent: first.id, trace: first.trace, token: fencingTokens.get('a') },
      { parent: first.id, trace: first.trace, token: fencingTokens.get('b') },
      { parent: second.id, trace: second.trace, token: second.permit.fencingToken },
    ]);
    expect(spans()[2]?.attributes).toEqual({
      'semaphore.name': name,
      'semaphore.weight': 2,
      'semaphore.outcome': 'acquired',
      'semaphore.permit.id': second.permit.id,
      'semaphore.fencing_token': second.permit.fencingToken,
      'semaphore.degraded': false,
    });
  });

  test('counts permits that are passed on within the process', async () => {
    await using semaphores = new Semaphores(options());
    const service = semaphores.open();
    const { name, value } = measured();
    const first = await service.acquire('k', { name, localPasses: 3 });
    const waiting = await queued(service, () => service.acquire('k', { name, localPasses: 3 }));
    const released = first.release();
    const next = await waiting.outcome;
    await released;
    expect(next.id).toBe(first.id);
    expect(await value('semaphore_permits_held')).toBe(1);
    expect(await value('semaphore_waiters')).toBe(0);
    await next.release();
    expect(await value('semaphore_permits_held')).toBe(0);
    expect(await value('semaphore_hold_duration_count')).toBe(2);
  });

  test('counts permits that are held for others, however often these ask', async () => {
    await using semaphores = new Semaphores(options());
    const service = semaphores.open();
    const { name, value } = measured();
    const wanted = { name, permits: 4, leaseMs: 60_000 };
    const internals = internalsOf(service);
    const { permitsById } = internals;
    const permit = internals.resolveUnkept(wanted);
    const brief = internals.resolveUnkept({ ...wanted, leaseMs: 20 });
    await permitsById.acquire('k', 'one', permit);
    await permitsById.acquire('k', 'one', permit);
    await permitsById.acquire('k', 'two', permit);
    const short = nextEvent(service, 'lost', ({ permitId }) => permitId === 'short');
    await permitsById.acquire('k', 'short', brief);
    expect(await short).toMatchObject({ reason: 'expired' });
    expect(await value('semaphore_permits_held')).toBe(2);
    await permitsById.release('k', 'one');
    const lost = nextEvent(service, 'lost');
    await service.forceRelease('k', 'two');
    await lost;
    expect(await value('semaphore_permits_held')).toBe(0);
    expect(await value('semaphore_hold_duration_count')).toBe(
      await value('semaphore_acquired_total'),
    );
  });

  test('has no error for a single flight that gave all callers their result', async () => {
    await using semaphores = new Semaphores(options());
    const [one, other] = [semaphores.open(), semaphores.open()];
    telemetry.forget();
    const key = 'tenant-0815';
    const job = new Job<string>();
    const led = new SingleFlightService(one).run(key, job.work);
    await job.started;
    const followed = new SingleFlightService(other).run(key, job.work);
    await untilFollowed({ semaphores: one }, key);
    job.finish('done');
    expect([await led, await followed]).toEqual(['done', 'done']);
    await telemetry.ended('semaphore wait single-flight', 2);
    const outcomes = telemetry
      .spans()
      .map(({ name, attributes, status }) => [name, attributes['semaphore.outcome'], status.code]);
    expect(outcomes).toEqual([
      ['semaphore wait single-flight', 'acquired', 0],
      ['semaphore wait single-flight', 'aborted', 0],
    ]);
    expect(telemetry.spans().flatMap(({ events }) => events)).toEqual([]);
  });

  test('marks the span of a wait that failed, with its error', async () => {
    await using semaphores = new Semaphores(options());
    const service = semaphores.open();
    const { name, spans } = measured();
    await using _permit = await service.acquire('k', { name });
    await service.tryAcquire('k', { name });
    const error = (await rejection(service.acquire('k', { name, waitMs: 1 }))) as Error;
    const [, busy, timeout] = spans();
    expect(busy).toMatchObject({ status: { code: 0 }, events: [] });
    expect(timeout?.status).toEqual({ code: 2, message: error.message });
    expect(timeout?.events).toMatchObject([
      { name: 'exception', attributes: { 'exception.message': error.message } },
    ]);
  });
});

describe('telemetry', () => {
  test('names no key, but in the message of an error', async () => {
    await using semaphores = new Semaphores({});
    const service = semaphores.open();
    const key = 'tenant-4711';
    await using _permit = await service.acquire(key);
    await rejection(service.acquire(key, { waitMs: 0 }));
    const attributes = telemetry.spans().map((span) => [span.name, span.attributes]);
    expect(JSON.stringify(attributes)).not.toContain(key);
    expect(await telemetry.text()).not.toContain(key);
    expect(await telemetry.value('semaphore_permits_held', { [NAME]: 'unnamed' })).toBe(1);
  });

  test('tells of permits without a store', async () => {
    const gone = await startRedis();
    await gone.stop();
    await using semaphores = new Semaphores({ redis: gone.url, storeTimeoutMs: 200 });
    const service = semaphores.open({ defaults: { permits: 1, waitMs: 10_000 } });
    const { name, value, spans } = measured();
    const failed = await rejection(service.acquire('k', { name }));
    expect(failed).toMatchObject({ code: 'SEMAPHORE_STORE_UNAVAILABLE' });
    const local = await service.acquire('k', { name, onStoreFailure: 'local' });
    const waiting = await queued(service, () =>
      service.acquire('k', { name, onStoreFailure: 'local' }),
    );
    expect(await value('semaphore_waiters')).toBe(1);
    await local.release();
    await (await waiting.outcome).release();
    const reason = { semaphore_reason: 'store-unavailable' };
    expect(await value('semaphore_rejected_total', reason)).toBe(1);
    expect(await value('semaphore_acquired_total', { semaphore_degraded: 'true' })).toBe(2);
    expect(await value('semaphore_permits_held')).toBe(0);
    expect(await value('semaphore_waiters')).toBe(0);
    expect(spans()[1]?.attributes['semaphore.degraded']).toBe(true);
  });

  test('can be switched off', async () => {
    await using semaphores = new Semaphores({ telemetry: false });
    const { name, value, spans } = measured();
    await using _permit = await semaphores.open().acquire('k', { name });
    expect(await value('semaphore_acquired_total')).toBe(0);
    expect(spans()).toEqual([]);
  });
});
