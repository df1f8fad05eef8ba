import { withRedis } from '../redis-admin.js';

/** The commands of an ACL user, as README lists them. */
const SCRIPTS =
  'time get set del hget hmget hgetall hset hdel hscan hkeys zadd zrange zrem zscore zmscore zcard zpopmin pexpire pexpireat persist publish';
const CONNECTIONS = 'evalsha eval subscribe ping info';

/** On one server, and behind Sentinel. */
export const COMMANDS = `${SCRIPTS} ${CONNECTIONS} script|load scan client|info client|kill`.split(
  ' ',
);

/** In Cluster; without what only `list()` needs. */
export const CLUSTER_COMMANDS =
  `${SCRIPTS} ${CONNECTIONS} cluster|slots cluster|info client|setname readonly`.split(' ');

/** Rules for ACL SETUSER: nothing but these commands, and the keys and channels of one prefix. */
export function rules(
  commands: readonly string[],
  prefix: string,
  password: string,
): [string, ...string[]] {
  const allowed = commands.map((name) => `+${name}`);
  return ['reset', 'on', `>${password}`, `~${prefix}:*`, `&${prefix}:@*`, ...allowed];
}

/** What was denied, by `ACL LOG`; but for `CLIENT SETINFO`, which ioredis does without, and Redis knows since 7.2 only. */
export async function denials(port: number): Promise<unknown[]> {
  const log = (await withRedis(port, (admin) => admin.call('ACL', 'LOG'))) as unknown[][];
  return log.filter((entry) => !entry.includes('client|setinfo'));
}
