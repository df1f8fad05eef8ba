import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { CLUSTER_COMMANDS, denials, rules } from '../support/faults/acl.js';
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

test('a user with only the commands and the keys that README lists is enough', async () => {
  const nodes = [...cluster.masters, ...cluster.replicas];
  const user = rules(CLUSTER_COMMANDS, 'app', 'secret');
  for (const { port } of nodes) {
    await withRedis(port, (admin) => admin.call('ACL', 'SETUSER', 'semaphores', ...user));
  }
  await using crew = await Crew.start({
    service: {
      cluster: cluster.nodes,
      user: { username: 'semaphores', password: 'secret' },
      keyPrefix: 'app',
    },
  });
  await crew.contend({ options: { permits: 2, leaseMs: 1000 } });
  await crew.progress(20);
  const outcome = await crew.settle({ ports: await portsOfMasters() });
  expect(outcome).toEqual(ALL_IS_WELL);
  const denied = await Promise.all(nodes.map(({ port }) => denials(port)));
  expect(denied.flat()).toEqual([]);
});

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
    await promote(next);
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

/** The request is dropped without a word as long as the master does not know its replica by the gossip. */
async function promote(replica: RedisServer): Promise<void> {
  const timesOutAfterMs = 5_500;
  for (let attempt = 1; !(await isMaster(replica)); attempt++) {
    if (attempt > 6) throw new Error(`${replica.port} was not promoted`);
    await withRedis(replica.port, (admin) => admin.cluster('FAILOVER')).catch(() => delay(200));
    await pollUntil('promoted', () => isMaster(replica), timesOutAfterMs).catch(() => undefined);
  }
}

async function untilMaster(server: RedisServer): Promise<void> {
  await pollUntil('the replica is the master', () => isMaster(server), 30_000);
}
