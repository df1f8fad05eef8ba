import { expect, test } from '@jest/globals';
import { Waiter } from '../../lib/core/waiter.js';
import { resolveOptions } from '../../lib/resolve-options.js';
import { AcquireTerms } from '../../lib/store/redis/acquire-terms.js';
import { semaphoreScript } from '../../lib/store/redis/scripts/embedded.js';
import { useRedis } from '../support/redis-server.js';
import { replaced } from '../support/timed-script.js';

const K = 'p:{k}';
const FAR = String(Number.MAX_SAFE_INTEGER);
/** The script as it is, but for all that what happens most can do without. */
const usual = replaced(semaphoreScript, 'local essential = false', "error('the rest')");
const terms = new AcquireTerms().of(
  new Waiter(
    'id',
    'k',
    resolveOptions(),
    0,
    () => undefined,
    () => undefined,
  ).request(),
  -1,
);

const redis = useRedis();

async function call(client: string, ...texts: string[]): Promise<unknown> {
  const keys = texts.flatMap(() => [K, `${K}:h`, `${K}:q`]);
  return redis.admin.eval(usual, keys.length, ...keys, 'p', client, FAR, '0', ...texts);
}

test('what default options say is what the script need not parse', async () => {
  expect(semaphoreScript).toContain(` = '${terms}', `);
  await call('one', `${terms}1id-a`);
  const lease = resolveOptions().leaseMs;
  expect(Math.abs((await redis.admin.pttl(K)) - 2 * lease - 5000)).toBeLessThan(2000);
  await call('one', 'Rid-a');
});

test('who waits, a hand-off between processes, its claim and what ends need no more than the short ways', async () => {
  const bounded = terms.replace('-1', '7');
  await call('one', `${terms}1id-a`);
  // The first who waits, one of another process, and one for whom the queue may be full.
  await call('two', `${terms}1id-b`);
  await call('three', `${terms}1id-c`, `${terms}0id-d`);
  await call('three', `${bounded}0id-e`);
  expect(await redis.admin.zcard(`${K}:q`)).toBe(4);
  expect(await redis.admin.pttl(`${K}:h`)).toBeGreaterThan(0);
  await call('one', 'Rid-a');
  await call('two', 'Nid-b 30000', 'Nid-b 30000');
  await call('two', 'Rid-b');
  await call('three', 'Rid-c', 'Rid-d', 'Rid-e');
  await call('three', 'Cid-c id-c three 1 30000 0 ');
  await call('one', `${terms}1id-f`);
  await call('three', 'Cid-c id-c three 1 30000 0 ');
  expect(await redis.admin.exists(`${K}:q`, `${K}:h`)).toBe(0);
});
