import { pollUntil, withRedis } from './redis-admin.js';
import { type RedisServer, startRedis } from './redis-server.js';

export interface RedisSentinelSet extends AsyncDisposable {
  /** The name to ask the sentinels for. */
  readonly name: string;
  /** The master and the replica as they were at the start; a failover swaps their roles. */
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinelServers: readonly RedisServer[];
  /** What ioredis takes as `sentinels`. */
  readonly sentinels: readonly { host: string; port: number }[];
  /** The port of the server that the sentinels call the master now. */
  masterPort(): Promise<number>;
  stop(): Promise<void>;
}

const NAME = 'primary';

/**
 * Starts a master, a replica and three sentinels that promote the replica about a second after a crash.
 * @param masterArgs more arguments for the master
 */
export async function startSentinel(
  downAfterMs = 1_000,
  masterArgs: readonly string[] = [],
): Promise<RedisSentinelSet> {
  const servers: RedisServer[] = [];
  const start = async (...options: Parameters<typeof startRedis>): Promise<RedisServer> => {
    const server = await startRedis(...options);
    servers.push(server);
    return server;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const diskless = ['--repl-diskless-sync-delay', '0'];
    const master = await start({ args: [...diskless, ...masterArgs] });
    const replica = await start({
      args: [...diskless, '--replicaof', `${master.host} ${master.port}`],
    });
    await pollUntil(`replica ${replica.port} is in sync`, () =>
      withRedis(replica.port, async (redis) =>
        (await redis.info('replication')).includes('master_link_status:up'),
      ),
    );

    const sentinel = [
      `sentinel monitor ${NAME} ${master.host} ${master.port} 2`,
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} 3000`,
      '',
    ].join('\n');
    const sentinelServers: RedisServer[] = [];
    for (let count = 0; count < 3; count++) sentinelServers.push(await start({ sentinel }));
    await Promise.all(sentinelServers.map(untilItKnowsTheOthers));

    return {
      name: NAME,
      master,
      replica,
      sentinelServers,
      sentinels: sentinelServers.map(({ host, port }) => ({ host, port })),
      masterPort: () => masterPort(sentinelServers),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Before that a sentinel neither agrees on a crash nor has a replica to promote. */
async function untilItKnowsTheOthers(sentinel: RedisServer): Promise<void> {
  await pollUntil(`sentinel ${sentinel.port} knows the replica and two sentinels`, () =>
    withRedis(sentinel.port, async (redis) => {
      const info = await redis.info('sentinel');
      return (
        info.includes('status=ok') && info.includes('slaves=1') && info.includes('sentinels=3')
      );
    }),
  );
}

async function masterPort(sentinels: readonly RedisServer[]): Promise<number> {
  const running = sentinels.find((sentinel) => sentinel.isRunning);
  if (running === undefined) throw new Error('No sentinel is running');
  return withRedis(running.port, async (redis) => {
    const address = await redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME);
    return Number((address as string[])[1]);
  });
}
