import { randomBytes } from 'node:crypto';
import { expect, jest, test } from '@jest/globals';
import { internalsOf } from '../../lib/service-internals.js';
import { LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { Semaphores } from '../support/semaphores.js';

type Result = { value: { held: number } } | { error: { message: string; nothingDone: boolean } };

/** What one POST of calls to the store is answered with. */
async function callStore(server: LockServer, calls: object[]): Promise<Result[]> {
  const headers = {
    'x-store-session': randomBytes(32).toString('base64url'),
    'x-store-client': 'test:1',
    'x-store-grace': '1000',
  };
  const stream = await server.stream('/v1/store', headers);
  const { body } = await server.call('POST', '/v1/store', { calls }, { headers });
  stream.close();
  return body['results'] as Result[];
}

const inspect = { op: 'inspect', key: 'k' };

test('inspections of one request that answer too much together fail, and those alone', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  const aborter = new AbortController();
  const waiting = Array.from({ length: 3000 }, () =>
    semaphores
      .acquire('k', { label: 'ü'.repeat(256), waitMs: Infinity, signal: aborter.signal })
      .catch(() => undefined),
  );
  await pollUntil('they wait', async () => (await semaphores.inspect('k')).waiters.length > 2990);
  const other = { op: 'inspect', key: 'other' };
  const results = await callStore(server, [other, ...Array.from({ length: 200 }, () => inspect)]);
  const failed = results.filter((result) => 'error' in result);
  expect(results[0]).toMatchObject({ value: { held: 0 } });
  expect(results[1]).toMatchObject({ value: { held: 1 } });
  expect(failed.length).toBeGreaterThan(100);
  expect(failed[0]).toMatchObject({
    error: { message: expect.stringContaining('inspect fewer'), nothingDone: true },
  });
  expect(JSON.stringify(results).length).toBeLessThan(20_000_000);
  expect(await callStore(server, [inspect])).toMatchObject([{ value: { held: 1 } }]);
  aborter.abort();
  await Promise.all(waiting);
});

test('an inspection sees the calls before it in its request', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const acquire = { op: 'acquire', key: 'k', id: 'a', permits: 1, weight: 1, priority: 0 };
  const results = await callStore(server, [
    inspect,
    inspect,
    { ...acquire, leaseMs: null, wait: false, maxWaiting: null },
    inspect,
  ]);
  const [first, second, , third] = results;
  expect(second).toEqual(first);
  expect(third).toMatchObject({ value: { held: 1 } });
});

test('a key that is named often is looked at once', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  const keys = Array.from({ length: 100 }, () => 'k');
  const { body } = await server.call('POST', '/lock', { uid: 'u', keys });
  const looks = jest.spyOn(internalsOf(semaphores), 'look');
  expect((await server.call('POST', '/check', { keys })).body).toEqual({ locked: true });
  expect(looks).toHaveBeenCalledTimes(1);
  const [token] = body['tokens'] as { key: string; version: number }[];
  const tokens = keys.map((key, index) => ({ key, version: (token?.version ?? 0) + index }));
  const unlocked = await server.call('POST', '/unlock', { uid: 'u', tokens });
  expect(unlocked.body).toEqual({ unlocked: ['k'] });
  expect(looks).toHaveBeenCalledTimes(2);
});
