import { expect, test } from '@jest/globals';
import { ALL_IS_WELL, Crew } from '../support/faults/crew.js';
import type { FaultWorker } from '../support/faults/fault-worker.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { startSentinel } from '../support/redis-sentinel.js';

const STORE_TIMEOUT_MS = 3000;
const REFUSALS = ['SEMAPHORE_STORE_UNAVAILABLE'];

async function startReplica(master: RedisServer): Promise<RedisServer> {
  const replica = await startRedis({
    args: ['--replicaof', `${master.host} ${master.port}`, '--repl-diskless-sync-delay', '0'],
  });
  await pollUntil('the replica is in sync', () =>
    withRedis(replica.port, async (admin) =>
      (await admin.info('replication')).includes('master_link_status:up'),
    ),
  );
  return replica;
}

test('minReplicas: without replicas nobody gets a permit, and none is left behind', async () => {
  await using master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
  await using replica = await startReplica(master);
  await using crew = await Crew.start({
    service: {
      redis: master.url,
      storeTimeoutMs: STORE_TIMEOUT_MS,
      minReplicas: 1,
      replicaTimeoutMs: 300,
    },
  });
  const [worker] = crew.workers as [FaultWorker];
  await crew.contend({ options: { permits: 2, leaseMs: 3000 } });
  await crew.progress();
  for (const round of [1, 2]) {
    // First the replica is there but says nothing, then it is gone.
    if (round === 1) replica.pause();
    else await replica.kill();
    await pollUntil('calls fail', () => {
      const failed = crew.journal.read().of('refused').length;
      return Promise.resolve(failed >= 5 * round);
    });
    await expect(worker.call('take', 'none', 'other', {})).rejects.toThrow(/0 of 1 replicas/);
    if (round === 1) replica.resume();
    else await replica.restart();
    await crew.progress();
  }
  const outcome = await crew.settle({ ports: [master.port], refusals: REFUSALS });
  expect(outcome).toEqual(ALL_IS_WELL);
});

test('a Sentinel failover: the new master is found, tokens grow on, fenced work stays exclusive', async () => {
  await using set = await startSentinel();
  const redis = { sentinels: [...set.sentinels], name: set.name };
  await using crew = await Crew.start({ service: { redis, storeTimeoutMs: STORE_TIMEOUT_MS } });
  await crew.contend({ options: { leaseMs: 1500 } });
  await crew.progress();
  await set.master.kill();
  await pollUntil(
    'the replica is the master',
    async () => (await set.masterPort()) === set.replica.port,
  );
  await crew.progress(20);
  const outcome = await crew.settle({
    ports: [set.replica.port],
    refusals: REFUSALS,
    isFenced: true,
  });
  expect(outcome).toEqual(ALL_IS_WELL);
});

test('a planned Sentinel failover: with `failoverDetector` nobody stays at the old master', async () => {
  // It goes on as a master, whatever the sentinels tell it.
  await using set = await startSentinel(1000, ['--rename-command', 'SLAVEOF', '']);
  const redis = { sentinels: [...set.sentinels], name: set.name, failoverDetector: true };
  await using crew = await Crew.start({ service: { redis }, workers: 1 });
  const [worker] = crew.workers as [FaultWorker];
  await worker.call('take', 'held', 'before', {});
  const [sentinel] = set.sentinelServers as [RedisServer];
  await withRedis(sentinel.port, (admin) => admin.call('SENTINEL', 'FAILOVER', set.name));
  await pollUntil('it is connected again', () =>
    Promise.resolve(crew.journal.read().of('store-up').length > 0),
  );
  await worker.call('take', 'moved', 'after', {});
  const keys = await withRedis(set.replica.port, (admin) => admin.keys('*{after}*'));
  expect(keys).toHaveLength(1);
});

test('a Sentinel failover with minReplicas: a permit that was granted is not granted twice', async () => {
  await using set = await startSentinel();
  const redis = { sentinels: [...set.sentinels], name: set.name };
  const service = {
    redis,
    storeTimeoutMs: STORE_TIMEOUT_MS,
    minReplicas: 1,
    replicaTimeoutMs: 500,
  };
  await using crew = await Crew.start({ service });
  const [holder] = crew.workers as [FaultWorker];
  const held = await holder.call('take', 'held', 'kept', { leaseMs: Infinity });
  await crew.contend({ options: { leaseMs: 1500 } });
  await crew.progress();
  await set.master.kill();
  await pollUntil(
    'the replica is the master',
    async () => (await set.masterPort()) === set.replica.port,
  );
  // It is a replica now, and grants are confirmed again.
  await set.master.restart(['--replicaof', `${set.replica.host} ${set.replica.port}`]);
  await crew.progress(20);
  const { holders } = await holder.call('inspect', 'kept');
  expect(holders.map(({ id }) => id)).toEqual([held.id]);
  expect(await holder.call('give', 'held')).toBe('released');
  const outcome = await crew.settle({
    ports: [set.replica.port],
    keys: ['kept', 'contended'],
    refusals: REFUSALS,
  });
  expect(outcome).toEqual(ALL_IS_WELL);
});
