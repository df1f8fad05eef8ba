import { Redis } from 'ioredis';
import { SemaphoreService, StoreUnavailableError } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { occupied, redisUrl } from './support.mjs';

const words = process.env.ACL_SETUSER.split(/\s+/);
const [, , user] = words;
const password = words.find((word) => word.startsWith('>')).slice(1);
const admin = new Redis(redisUrl);
await admin.call(...words);
await admin.script('FLUSH');
await admin.config('RESETSTAT');

const { hostname, port } = new URL(redisUrl);
const redis = `redis://${user}:${password}@${hostname}:${port}`;
const one = new SemaphoreService({ redis });
const other = new SemaphoreService({ redis });

// Hand-off to another process, a lease that becomes shorter while somebody waits, and one that does not end.
const held = await one.acquire('k', { permits: 2, leaseMs: Infinity });
const heavy = other.acquire('k', { permits: 2, weight: 2, waitMs: 60_000 });
await occupied(one, 'k', 1, 1);
await held.renew(20_000);
await held.release();
await (await heavy).renew();

// A connection that breaks.
await admin.call('CLIENT', 'KILL', 'TYPE', 'normal');
await (await one.acquire('broken')).release();

// A waiter that gives up, one that is sent away, a limit, a holder that is sent away.
const gaveUp = new AbortController();
const signal = gaveUp.signal;
const waiters = [one.acquire('k', { permits: 2, signal }), one.acquire('k', { permits: 2 })];
const ends = waiters.map((waiter) => assert.rejects(waiter));
await occupied(one, 'k', 2, 2);
gaveUp.abort();
await occupied(one, 'k', 2, 1);
const { id } = (await one.inspect('k')).waiters[0];
assert.ok(await one.forceRelease('k', id));
await Promise.all(ends);
await one.setPermits('k', 5);
await one.setPermits('k', null);
const keys = [];
for await (const key of one.list()) keys.push(key);
assert.deepEqual(keys, ['k']);
assert.ok(await one.forceRelease('k', (await heavy).id));
assert.equal(await other.tryAcquire('k', { maxWaiting: 0 }).then((p) => p.release()), 'released');
const busy = await one.acquire('b');
await assert.rejects(other.acquire('b', { maxWaiting: 0 }), { reason: 'queue-full' });
await busy.release();

const careful = new SemaphoreService({ redis, minReplicas: 1, replicaTimeoutMs: 10 });
await assert.rejects(careful.acquire('r'), StoreUnavailableError);
await Promise.all([one, other, careful].map((service) => service.close()));

const denied = (await admin.call('ACL', 'LOG')).map((entry) => entry.slice(0, 10).join(' '));
assert.deepEqual(
  denied.filter((entry) => entry.includes(user) && !entry.includes('client|setinfo')),
  [],
  'nothing was denied',
);

// The other way round: nothing is allowed that is not used, here or in Cluster. The store pings now and then.
const stats = await admin.info('commandstats');
const used = new Set([...process.env.SCRIPT_COMMANDS.split(' '), 'ping']);
for (const [, name] of stats.matchAll(/^cmdstat_(\S+?):calls=[1-9]/gm)) used.add(name);
const allowed = words.filter((word) => word.startsWith('+')).map((word) => word.slice(1));
assert.deepEqual(
  allowed.filter((name) => !used.has(name)),
  ['cluster|slots', 'cluster|info', 'client|setname', 'readonly'],
);
admin.disconnect();
