import { expect, test } from '@jest/globals';
import { Cluster } from 'ioredis';
import { SemaphoreService } from 'nestjs-semaphore';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { startCluster } from '../support/redis-cluster.js';
import { uniquePrefix } from '../support/unique-prefix.js';

test('the health of a Cluster is that of every master, and of the one that takes over', async () => {
  await using cluster = await startCluster(3, 1);
  const connection = new Cluster([...cluster.nodes], { lazyConnect: true });
  const service = new SemaphoreService({
    redis: connection,
    keyPrefix: uniquePrefix(),
    storeTimeoutMs: 1_000,
    log: 'none',
  });
  await using _closing = { [Symbol.asyncDispose]: () => service.close() };
  const error = async (): Promise<string | undefined> => (await service.health(200)).error?.message;
  await pollUntil('all masters answer', async () => (await error()) === undefined);
  const [first] = cluster.masters;
  const [replica] = cluster.replicas;
  const ask = (...command: [string, ...string[]]): Promise<unknown> =>
    withRedis(replica!.port, (admin) => admin.call(...command));
  // However slow the machine is, it takes over when it is told to.
  await ask('CONFIG', 'SET', 'cluster-replica-no-failover', 'yes');
  first!.process.kill('SIGSTOP');
  for (let i = 0; i < 5; i++) expect(await error()).toContain('did not answer within 200 ms');
  first!.process.kill('SIGKILL');
  expect(await error()).not.toBeUndefined();
  await ask('CLUSTER', 'FAILOVER', 'TAKEOVER');
  // Nobody but the health check asks.
  await pollUntil('a replica took over', async () => (await error()) === undefined);
});
