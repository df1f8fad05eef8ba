import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Permit } from 'nestjs-semaphore';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ALL_IS_WELL, Crew, KEY } from '../support/faults/crew.js';
import type { FaultWorker } from '../support/faults/fault-worker.js';
import { ReplyGate } from '../support/faults/reply-gate.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { canFakeTime, fakeTimeEnv } from '../support/redis-clock.js';
import { startRedis } from '../support/redis-server.js';
import { readCounts } from '../support/redis-watch.js';
import { queued, Semaphores } from '../support/semaphores.js';

const withFakeTime = canFakeTime ? describe : describe.skip;

withFakeTime('the clock of the server', () => {
  test('jumps forwards: leases end early, but no work is done twice under a fence', async () => {
    await using redis = await startRedis({ faketime: '+0' });
    await using crew = await Crew.start({ service: { redis: redis.url, storeTimeoutMs: 2000 } });
    await crew.contend({ holdMs: 30, options: { leaseMs: 2000 } });
    for (const offset of ['+5', '+60', '+86400']) {
      await crew.progress();
      await redis.setClock(offset);
    }
    await crew.progress();
    const outcome = await crew.settle({ ports: [redis.port], isFenced: true });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('jumps forwards within a lease: its holder keeps the permit', async () => {
    await using redis = await startRedis({ faketime: '+0' });
    await using crew = await Crew.start({ service: { redis: redis.url, storeTimeoutMs: 2000 } });
    const [holder, next] = crew.workers as [FaultWorker, FaultWorker];
    await holder.call('take', 'held', KEY, { leaseMs: 60_000 });
    await next.call('enqueue', 'next', KEY, { waitMs: 20_000 });
    await redis.setClock('+30');
    await delay(2000);
    expect(await holder.call('give', 'held')).toBe('released');
    await next.call('taken', 'next');
    expect(await next.call('give', 'next')).toBe('released');
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });

  test('jumps forwards: those that wait are not taken for dead, and keep their places', async () => {
    await using redis = await startRedis({ faketime: '+0' });
    await using semaphores = new Semaphores({ redis: redis.url });
    const [holder, first, second] = [semaphores.open(), semaphores.open(), semaphores.open()];
    const held = await holder.acquire(KEY, { leaseMs: 60_000 });
    const order: string[] = [];
    const outcomes: Promise<unknown>[] = [];
    for (const [name, service] of Object.entries({ first, second })) {
      const wait = (): Promise<Permit> => service.acquire(KEY, { waitMs: 60_000 });
      const { outcome } = await queued(service, wait);
      outcomes.push(outcome.then((permit) => (order.push(name), permit.release())));
    }
    const { waiters } = await holder.inspect(KEY);
    await redis.setClock('+10');
    await withRedis(redis.port, async (admin) => {
      // The second one asks at once, when nothing was heard of the first one for ten seconds.
      const polls = async (): Promise<number> => (await readCounts(admin)).of('evalsha');
      const before = await polls();
      const { prefix } = semaphores;
      await admin.publish(`${prefix}:@${waiters[1]?.client}`, `?${prefix}:{${KEY}}`);
      await pollUntil('it has asked', async () => (await polls()) > before);
    });
    await held.release();
    await Promise.all(outcomes);
    expect(order).toEqual(['first', 'second']);
  });

  test('jumps forwards: a grant that cannot be claimed is not counted on for longer than it lasts', async () => {
    await using redis = await startRedis({ faketime: '+0' });
    await using gate = await ReplyGate.start(redis.port);
    await using semaphores = new Semaphores({ redis: redis.url, storeTimeoutMs: 20_000 });
    const [holder, late, next] = [
      semaphores.open(),
      semaphores.open({ redis: gate.url }),
      semaphores.open(),
    ];
    const held = await holder.acquire(KEY, { leaseMs: 60_000 });
    const { outcome } = await queued(late, () => late.acquire(KEY, { waitMs: 60_000 }));
    // Only messages reach it from now on.
    gate.shut();
    await redis.setClock('+25');
    await held.release();
    const permit = await outcome;
    const taken = await next.acquire(KEY, { waitMs: 20_000 });
    expect(permit.isHeld).toBe(false);
    await taken.release();
    gate.open();
  });

  test('jumps backwards: the limit holds, tokens grow, and nobody waits for the lost hour', async () => {
    await using redis = await startRedis({ faketime: '+0' });
    await using crew = await Crew.start({ service: { redis: redis.url, storeTimeoutMs: 2000 } });
    await crew.contend({ options: { permits: 2, leaseMs: 1000 } });
    for (const offset of ['-5', '-60', '-3600']) {
      await crew.progress();
      await redis.setClock(offset);
    }
    await crew.progress();
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });

  test('jumps backwards: a waiter that died blocks nobody for longer than 5 s', async () => {
    await using redis = await startRedis({ faketime: '+0' });
    await using crew = await Crew.start({
      workers: 3,
      service: { redis: redis.url, storeTimeoutMs: 2000 },
    });
    const [holder, victim, next] = crew.workers as [FaultWorker, FaultWorker, FaultWorker];
    const options = { waitMs: 30_000 };
    await holder.call('take', 'held', KEY, options);
    await victim.call('enqueue', 'dead', KEY, options);
    await next.call('enqueue', 'next', KEY, options);
    await victim.kill();
    const killedAt = performance.now();
    await redis.setClock('-3600');
    await holder.call('give', 'held');
    await next.call('taken', 'next');
    expect(performance.now() - killedAt).toBeLessThan(5000);
    await next.call('give', 'next');
    expect(await crew.settle({ ports: [redis.port] })).toEqual(ALL_IS_WELL);
  });
});

withFakeTime('the clock of a process', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'nestjs-semaphore-clocks-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test.each(['+3600', '-3600'])('is off by %s seconds: nobody notices', async (offset) => {
    const file = join(dir, `clock${offset}`);
    await writeFile(file, `${offset}\n`);
    await using redis = await startRedis();
    await using crew = await Crew.start({
      service: { redis: redis.url, storeTimeoutMs: 2000 },
      env: (index) => (index === 0 ? fakeTimeEnv(file) : {}),
    });
    const [off, other] = crew.workers as [FaultWorker, FaultWorker];
    const { acquiredAt } = await off.call('take', 'held', 'shown', { leaseMs: 1000 });
    expect(Math.abs(acquiredAt - Date.now())).toBeLessThan(60_000);
    await crew.contend({ options: { permits: 2, leaseMs: 1000 } });
    await crew.progress(30);
    await other.call('enqueue', 'next', 'shown', { waitMs: 20_000 });
    await delay(1500);
    // Renewed in time, although its clock is off.
    expect(await off.call('give', 'held')).toBe('released');
    await other.call('taken', 'next');
    await other.call('give', 'next');
    const outcome = await crew.settle({ ports: [redis.port], keys: [KEY, 'shown'] });
    expect(outcome).toEqual(ALL_IS_WELL);
  });

  test('is set back by an hour while it runs: permits are kept', async () => {
    const file = join(dir, 'clock');
    await writeFile(file, '+0\n');
    await using redis = await startRedis();
    await using crew = await Crew.start({
      service: { redis: redis.url, storeTimeoutMs: 2000 },
      env: () => fakeTimeEnv(file),
    });
    const [holder] = crew.workers as [FaultWorker, FaultWorker];
    await holder.call('take', 'held', 'kept', { leaseMs: 1500 });
    await crew.contend({ options: { permits: 2, leaseMs: 1500 } });
    await crew.progress();
    await writeFile(file, '-3600\n');
    await crew.progress(30);
    expect(await holder.call('give', 'held')).toBe('released');
    const outcome = await crew.settle({ ports: [redis.port], keys: [KEY, 'kept'] });
    expect(outcome).toEqual(ALL_IS_WELL);
  });
});
