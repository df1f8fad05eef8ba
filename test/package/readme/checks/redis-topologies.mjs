import { SemaphoreService } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
// Written by the test: the hosts of README.md are those of the servers that it started.
import * as topologies from '../dist/redis-topologies.local.js';

for (const name of ['sentinel', 'cluster', 'ownSettings']) {
  const one = new SemaphoreService(topologies[name]);
  const other = new SemaphoreService(topologies[name]);
  const held = await one.acquire(`k:${name}`);
  const next = other.acquire(`k:${name}`);
  await held.release();
  const permit = await next;
  assert.ok(permit.isHeld && !permit.degraded && permit.fencingToken > held.fencingToken);
  await permit.release();
  await Promise.all([one.close(), other.close()]);
}
// What was passed in is a source of settings only.
for (const { redis } of [topologies.cluster, topologies.ownSettings]) {
  assert.equal(redis.status, 'wait');
}
