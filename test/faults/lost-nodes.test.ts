import { describe, expect, test } from '@jest/globals';
import { Cluster } from 'ioredis';
import { SemaphoreService } from 'nestjs-semaphore';
import { setTimeout as delay } from 'node:timers/promises';
import { startCluster } from '../support/redis-cluster.js';
import { freePort } from '../support/redis-ports.js';
import { nextEvent } from '../support/semaphores.js';

const KEY = 'key';

function open(redis: Cluster): SemaphoreService {
  return new SemaphoreService({ redis, log: 'none' });
}

async function endsInTime(closing: Promise<void>): Promise<boolean> {
  return Promise.race([closing.then(() => true), delay(5000, false, { ref: false })]);
}

describe('close() ends while a Cluster', () => {
  test('is away', async () => {
    await using cluster = await startCluster(1);
    const service = open(new Cluster([...cluster.nodes], { lazyConnect: true }));
    await (await service.acquire(KEY)).release();
    const down = nextEvent(service, 'store-down');
    await cluster.masters[0]?.kill();
    await down;
    expect(await endsInTime(service.close())).toBe(true);
  });

  test.each([0, 300])('has never been there, after %i ms', async (ms) => {
    const nodes = [{ host: '127.0.0.1', port: await freePort() }];
    const service = open(new Cluster(nodes, { lazyConnect: true }));
    await delay(ms);
    expect(await endsInTime(service.close())).toBe(true);
  });

  test('is being looked up, and nobody knows its name or says so', async () => {
    const dnsLookup = (): void => undefined;
    const service = open(new Cluster([{ host: 'nowhere' }], { lazyConnect: true, dnsLookup }));
    await delay(50);
    expect(await endsInTime(service.close())).toBe(true);
  });
});
