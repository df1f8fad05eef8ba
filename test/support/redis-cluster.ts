import type { Redis } from 'ioredis';
import { pollUntil, withRedis } from './redis-admin.js';
import { type RedisServer, startRedis } from './redis-server.js';

const SLOTS = 16_384;

export interface RedisCluster extends AsyncDisposable {
  /** In slot order: the first one serves the lowest slots. */
  readonly masters: readonly RedisServer[];
  readonly replicas: readonly RedisServer[];
  /** What `new Cluster(…)` of ioredis takes. */
  readonly nodes: readonly { host: string; port: number }[];
  stop(): Promise<void>;
}

/** Starts a real cluster and resolves when every node says that all slots are served. */
export async function startCluster(masters = 3, replicasPerMaster = 0): Promise<RedisCluster> {
  const servers: RedisServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const starts = await Promise.allSettled(
      Array.from({ length: masters * (1 + replicasPerMaster) }, () => startNode()),
    );
    for (const start of starts) if (start.status === 'fulfilled') servers.push(start.value);
    for (const start of starts) if (start.status === 'rejected') throw start.reason;

    const masterNodes = servers.slice(0, masters);
    const replicaNodes = servers.slice(masters);
    await giveSlots(masterNodes);
    await introduce(servers);
    await replicate(masterNodes, replicaNodes);
    await Promise.all(servers.map((server) => untilServing(server, servers.length)));
    return {
      masters: masterNodes,
      replicas: replicaNodes,
      nodes: servers.map(({ host, port }) => ({ host, port })),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startNode(): Promise<RedisServer> {
  return startRedis({
    args: [
      '--cluster-enabled yes',
      '--cluster-config-file nodes.conf',
      '--cluster-node-timeout 2000',
      '--repl-diskless-sync-delay 0',
    ].flatMap((line) => line.split(' ')),
  });
}

async function giveSlots(masters: readonly RedisServer[]): Promise<void> {
  const firstSlot = (index: number): number => Math.floor((index * SLOTS) / masters.length);
  await Promise.all(
    masters.map((master, index) =>
      withRedis(master.port, async (redis) => {
        await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
        await redis.call('CLUSTER', 'ADDSLOTSRANGE', firstSlot(index), firstSlot(index + 1) - 1);
      }),
    ),
  );
}

/** Everybody meets everybody: waiting for gossip to spread takes seconds. */
async function introduce(servers: readonly RedisServer[]): Promise<void> {
  for (const server of servers) {
    await withRedis(server.port, async (redis) => {
      for (const other of servers) {
        if (other !== server) await redis.call('CLUSTER', 'MEET', other.host, other.port);
      }
    });
  }
  await Promise.all(
    servers.map((server) =>
      pollUntil(`node ${server.port} knows all ${servers.length}`, () =>
        withRedis(server.port, async (redis) => (await linkedNodes(redis)) === servers.length),
      ),
    ),
  );
}

/** Nodes that this one has shaken hands with and is connected to, itself included. */
async function linkedNodes(redis: Redis): Promise<number> {
  const lines = String(await redis.call('CLUSTER', 'NODES'))
    .trim()
    .split('\n');
  return lines.filter((line) => !line.includes('handshake') && line.includes(' connected')).length;
}

async function replicate(
  masters: readonly RedisServer[],
  replicas: readonly RedisServer[],
): Promise<void> {
  await Promise.all(
    replicas.map(async (replica, index) => {
      const master = masters[index % masters.length];
      if (master === undefined) return;
      const masterId = await withRedis(master.port, (redis) => redis.call('CLUSTER', 'MYID'));
      await withRedis(replica.port, async (redis) => {
        await redis.call('CLUSTER', 'REPLICATE', String(masterId));
        await pollUntil(`replica ${replica.port} is in sync`, async () =>
          (await redis.info('replication')).includes('master_link_status:up'),
        );
      });
    }),
  );
}

/** The slots that a node sees and its own verdict; both lag behind the gossip. */
async function untilServing(server: RedisServer, nodes: number): Promise<void> {
  await pollUntil(`node ${server.port} says cluster_state:ok`, () =>
    withRedis(server.port, async (redis) => {
      const info = String(await redis.call('CLUSTER', 'INFO'));
      return (
        info.includes('cluster_state:ok') &&
        info.includes(`cluster_slots_ok:${SLOTS}`) &&
        info.includes(`cluster_known_nodes:${nodes}`)
      );
    }),
  );
}
