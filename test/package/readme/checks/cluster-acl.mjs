import { Cluster, Redis } from 'ioredis';
import { SemaphoreService } from 'nestjs-semaphore';
import assert from 'node:assert/strict';

const words = process.env.ACL_SETUSER.split(/\s+/);
const username = words[2];
const password = words.find((word) => word.startsWith('>')).slice(1);
const nodes = JSON.parse(process.env.CLUSTER_NODES);
const admins = nodes.map((node) => new Redis(node));
await Promise.all(admins.map((admin) => admin.call(...words)));
await Promise.all(admins.map((admin) => admin.config('RESETSTAT')));

const cluster = new Cluster(nodes, { lazyConnect: true, redisOptions: { username, password } });
const one = new SemaphoreService({ redis: cluster });
const other = new SemaphoreService({ redis: cluster });
for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
  const held = await one.acquire(key);
  const next = other.acquire(key);
  await held.release();
  assert.equal(await (await next).release(), 'released');
}
await Promise.all([one.close(), other.close()]);

let stats = '';
for (const admin of admins) {
  stats += await admin.info('commandstats');
  const denied = (await admin.call('ACL', 'LOG')).map((entry) => entry.slice(0, 10).join(' '));
  assert.deepEqual(
    denied.filter((entry) => entry.includes(username)),
    [],
    'nothing was denied',
  );
  admin.disconnect();
}
for (const name of ['cluster|slots', 'cluster|info', 'client|setname']) {
  assert.ok(stats.includes(`cmdstat_${name}:`), `${name} is used`);
}
