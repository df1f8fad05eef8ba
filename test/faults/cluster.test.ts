import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { ALL_IS_WELL, Crew, KEY } from '../support/faults/crew.js';
import { moveSlot, ownerOf, slotOf } from '../support/faults/slots.js';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { type RedisCluster, startCluster } from '../support/redis-cluster.js';
import type { RedisServer } from '../support/redis-server.js';

const REFUSALS = ['SEMAPHORE_STORE_UNAVAILABLE'];
const OTHER = 'another slot';

jest.setTimeout(120_000);

let cluster: RedisCluster;

beforeAll(async () => {
  cluster = await startCluster(3, 1);
});
afterAll(() => cluster.stop());

async function startCrew(): Promise<Crew> {
  const crew = await Crew.start({ service: { cluster: cluster.nodes, storeTimeoutMs: 5000 } });
  const load = { holdMs: 10, fibers: 2, options: { permits: 1, leaseMs: 2000 } };
  await crew.contend({ ...load, key: KEY });
  await crew.contend({ ...load, key: OTHER });
  await crew.progress(20);
  return crew;
}

/** The master and its replica, whoever is which now. */
function partnerOf(server: RedisServer): RedisServer {
  const { masters, replicas } = cluster;
  const partner = replicas[masters.indexOf(server)] ?? masters[replicas.indexOf(server)];
  if (partner === undefined) throw new Error('The server is not part of the cluster');
  return partner;
}

async function portsOfMasters(): Promise<number[]> {
  const nodes = [...cluster.masters, ...cluster.replicas].filter(({ isRunning }) => isRunning);
  const isMasters = await Promise.all(nodes.map((node) => isMaster(node)));
  return nodes.filter((_, i) => isMasters[i]).map(({ port }) => port);
}

function isMaster(server: RedisServer): Promise<boolean> {
  return withRedis(server.port, async (admin) =>
    (await admin.info('replication')).includes('role:master'),
  );
}

async function owner(crew: Crew): Promise<{ slot: number; server: RedisServer }> {
  const slot = await slotOf(cluster, `${crew.prefix}:{${KEY}}`);
  return { slot, server: await ownerOf(cluster, slot) };
}

test('a slot moves from node to node and back, under contention', async () => {
  await using crew = await startCrew();
  const { slot, server } = await owner(crew);
  for (const target of [...cluster.masters.filter((master) => master !== server), server]) {
    await moveSlot(cluster, slot, target);
    await crew.progress(20);
  }
  const outcome = await crew.settle({
    ports: await portsOfMasters(),
    keys: [KEY, OTHER],
    refusals: REFUSALS,
  });
  expect(outcome).toEqual(ALL_IS_WELL);
});

test('a master is relieved by its replica in good order', async () => {
  await using crew = await startCrew();
  const { server } = await owner(crew);
  const replica = partnerOf(server);
  for (const next of [replica, server]) {
    await pollUntil('the replica is in sync, and its master knows it', async () => {
      const info = await withRedis(next.port, (admin) => admin.info('replication'));
      const known = await withRedis(partnerOf(next).port, (admin) =>
        admin.call('CLUSTER', 'NODES'),
      );
      return (
        info.includes('master_link_status:up') &&
        new RegExp(`:${next.port}@\\S+ slave `).test(String(known))
      );
    });
    await withRedis(next.port, (admin) => admin.cluster('FAILOVER'));
    await untilMaster(next);
    await crew.progress(20);
  }
  const outcome = await crew.settle({
    ports: await portsOfMasters(),
    keys: [KEY, OTHER],
    refusals: REFUSALS,
    isFenced: true,
  });
  expect(outcome).toEqual(ALL_IS_WELL);
});

test('a master dies: its replica takes over, tokens grow on, fenced work stays exclusive', async () => {
  await using crew = await startCrew();
  const { server } = await owner(crew);
  const replica = partnerOf(server);
  await server.kill();
  await untilMaster(replica);
  await crew.progress(20);
  const outcome = await crew.settle({
    ports: await portsOfMasters(),
    keys: [KEY, OTHER],
    refusals: REFUSALS,
    isFenced: true,
  });
  expect(outcome).toEqual(ALL_IS_WELL);
});

async function untilMaster(server: RedisServer): Promise<void> {
  await pollUntil('the replica is the master', () => isMaster(server), 30_000);
}
