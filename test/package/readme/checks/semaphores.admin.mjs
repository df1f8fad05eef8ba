import assert from 'node:assert/strict';
import { SemaphoresAdmin } from '../dist/semaphores.admin.js';
import { alerts } from '../dist/work.js';
import { eventually, occupied, redisUrl, startApp } from './support.mjs';

const { app, service, close } = await startApp({
  semaphores: { redis: redisUrl },
  providers: [SemaphoresAdmin],
});
const other = await startApp({ semaphores: { redis: redisUrl } });
const admin = app.get(SemaphoresAdmin);
const options = { permits: 2, waitMs: 60_000, label: 'acme' };
const key = 'report:acme';

const first = await service.acquire(key, options);
const second = await other.service.acquire(key, options);
const third = other.service.acquire(key, options);
await service.acquire('unrelated');
await occupied(service, key, 2, 1);

const [snapshot, ...more] = await admin.inUse();
assert.equal(more.length, 0);
assert.deepEqual(Object.keys(snapshot).sort(), [
  'available',
  'held',
  'holders',
  'key',
  'permits',
  'waiters',
]);
assert.equal(snapshot.available, 0);
const holder = snapshot.holders.find(({ id }) => id === first.id);
assert.equal(holder.label, 'acme');
assert.equal(holder.fencingToken, first.fencingToken);
assert.match(holder.client, new RegExp(`:${process.pid}:`));
assert.ok(snapshot.waiters[0].enqueuedAt > 0);

await admin.slowDown(key);
await second.release();
await occupied(service, key, 1, 1);
assert.equal((await service.inspect(key)).permits, 1, 'whatever callers pass');

assert.equal(first.signal.aborted, false);
assert.equal(await admin.evict(key, first.id), true);
await (await third).release();
await eventually('the holder hears of it', () => first.signal.aborted);
assert.equal(await first.release(), 'expired');
assert.ok(alerts.includes(`${key} was lost: forced`), alerts.join());

await admin.backToNormal(key);
await (await service.acquire(key, options)).release();
assert.equal((await service.inspect(key)).permits, 2);
await Promise.all([close(), other.close()]);
