import type { RedisCluster } from '../redis-cluster.js';
import { withRedis } from '../redis-admin.js';
import type { RedisServer } from '../redis-server.js';

/** The slot of a key. */
export function slotOf({ masters }: RedisCluster, key: string): Promise<number> {
  return withRedis(portOf(masters[0]), async (admin) =>
    Number(await admin.cluster('KEYSLOT', key)),
  );
}

/** The master that serves a slot. */
export async function ownerOf(cluster: RedisCluster, slot: number): Promise<RedisServer> {
  const nodes = [...cluster.masters, ...cluster.replicas].filter(({ isRunning }) => isRunning);
  const ranges = await withRedis(portOf(nodes[0]), (admin) => admin.cluster('SLOTS'));
  const range = ranges.find(([first, last]) => first <= slot && slot <= last);
  const master = range?.[2] as readonly unknown[] | undefined;
  const owner = nodes.find(({ port }) => port === master?.[1]);
  if (owner === undefined) throw new Error(`Nobody serves slot ${slot}`);
  return owner;
}

/** Moves a slot with its keys from its master to another, as redis-cli --cluster reshard does. */
export async function moveSlot(
  cluster: RedisCluster,
  slot: number,
  to: RedisServer,
): Promise<void> {
  const from = await ownerOf(cluster, slot);
  const [fromId, toId] = await Promise.all([idOf(from), idOf(to)]);
  await withRedis(to.port, (admin) => admin.cluster('SETSLOT', slot, 'IMPORTING', fromId));
  await withRedis(from.port, async (admin) => {
    await admin.cluster('SETSLOT', slot, 'MIGRATING', toId);
    for (;;) {
      // One at a time: for a while, the keys of one semaphore are in different places.
      const keys = await admin.cluster('GETKEYSINSLOT', slot, 1);
      if (keys.length === 0) break;
      await admin.call('MIGRATE', to.host, to.port, '', 0, 5000, 'KEYS', ...keys);
    }
  });
  for (const node of [to, ...cluster.masters.filter((master) => master !== to)]) {
    await withRedis(node.port, (admin) => admin.cluster('SETSLOT', slot, 'NODE', toId));
  }
}

function idOf(server: RedisServer): Promise<string> {
  return withRedis(server.port, async (admin) => String(await admin.call('CLUSTER', 'MYID')));
}

function portOf(server: RedisServer | undefined): number {
  if (server === undefined) throw new Error('The cluster has no such node');
  return server.port;
}
