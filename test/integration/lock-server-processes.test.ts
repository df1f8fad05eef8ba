import { Agent, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { ADMIN_KEY, type HttpAnswer, type LockClient } from '../support/lock-server.js';
import { LockServerProcess } from '../support/lock-server-process.js';
import { pollUntil } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const ROUNDS = 60;
const CLIENTS = 20;
const KEYS = ['stock', 'basket', 'invoice'];

const redis = useRedis();

interface Token {
  key: string;
  version: number;
}

const tokensOf = ({ body }: HttpAnswer): Token[] => body['tokens'] as Token[];

function race(clients: readonly LockClient[], round: string, exp: number) {
  return Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      const client = clients[index % clients.length] as LockClient;
      const keys = index % 3 === 0 ? KEYS.toReversed() : KEYS;
      const uid = `${round}-${index}`;
      return { uid, answer: await client.call('POST', '/lock', { uid, keys, exp }) };
    }),
  );
}

test('two servers on one Redis have one winner a round, and versions grow', async () => {
  const store = { redis: redis.url, keyPrefix: uniquePrefix('rounds') };
  await using one = await LockServerProcess.start(store);
  await using two = await LockServerProcess.start(store);
  const last = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const results = await race([one, two], `${round}`, 60_000);
    const winners = results.filter(({ answer }) => answer.status === 200);
    expect(winners).toHaveLength(1);
    expect(results.filter(({ answer }) => answer.status === 423)).toHaveLength(CLIENTS - 1);
    const [{ uid, answer } = { uid: '', answer: undefined }] = winners;
    const tokens = answer === undefined ? [] : tokensOf(answer);
    for (const { key, version } of tokens) {
      expect(version).toBeGreaterThan(last.get(key) ?? 0);
      last.set(key, version);
    }
    const other = round % 2 === 0 ? one : two;
    const { body } = await other.call('POST', '/unlock', { uid, tokens });
    expect(body).toEqual({ unlocked: tokens.map(({ key }) => key) });
  }

  // Killed in the middle of a round.
  const winner = await race([one], 'before', 800);
  const versions = tokensOf(
    winner.find(({ answer }) => answer.status === 200)?.answer as HttpAnswer,
  );
  const cut = race([one], 'cut', 800).catch(() => undefined);
  await one.kill();
  await cut;
  const wish = { uid: 'after', keys: KEYS, exp: 60_000 };
  let after: HttpAnswer | undefined;
  await pollUntil('the locks of the killed server have ended', async () => {
    after = await two.call('POST', '/lock', wish);
    return after.status === 200;
  });
  for (const { key, version } of versions) {
    const now = tokensOf(after as HttpAnswer).find((token) => token.key === key);
    expect(now?.version).toBeGreaterThan(version);
  }
}, 120_000);

test('a permit is renewed and released through another server than the one that gave it', async () => {
  const store = { redis: redis.url, keyPrefix: uniquePrefix('other') };
  await using one = await LockServerProcess.start(store);
  await using two = await LockServerProcess.start(store);
  const { body } = await one.acquire('k', { requestId: 'r', leaseMs: 30_000 });
  const again = await two.acquire('k', { requestId: 'r', waitMs: 0 });
  expect([again.status, again.body['fencingToken']]).toEqual([200, body['fencingToken']]);
  expect((await two.renew('k', body['id'], 60_000)).status).toBe(200);
  await one.kill();
  expect((await two.release('k', body['id'])).body).toEqual({ outcome: 'released' });
  expect((await two.acquire('k', { waitMs: 10_000 })).status).toBe(201);
});

test('the permits of a session end with their lease when its server is killed', async () => {
  const store = { redis: redis.url, keyPrefix: uniquePrefix('killed') };
  await using one = await LockServerProcess.start(store);
  await using two = await LockServerProcess.start(store);
  const stream = await one.stream('/v1/sessions');
  const headers = { 'x-session-id': String((await stream.until('session'))['id']) };
  expect((await one.acquire('k', {}, { headers })).status).toBe(201);
  const waiting = two.acquire('k', { waitMs: 20_000 });
  const killedAt = performance.now();
  await one.kill();
  expect((await waiting).status).toBe(201);
  expect(performance.now() - killedAt).toBeLessThan(8000);
});

test('500 clients are served in order, once each, and the memory comes back', async () => {
  const clients = 500;
  const store = { redis: redis.url, keyPrefix: uniquePrefix('order') };
  await using server = await LockServerProcess.start(store);
  await server.acquire('warm');
  const before = await server.memory();
  const held = await server.acquire('k');
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  const served: number[] = [];
  const tokens: number[] = [];
  const waiting: Promise<void>[] = [];
  for (let index = 0; index < clients; index++) {
    waiting.push(
      post(server.url, agent, '/v1/semaphores/k/permits', { waitMs: null }).then(async (body) => {
        served.push(index);
        tokens.push(Number(body['fencingToken']));
        await server.release('k', body['id']);
      }),
    );
    await pollUntil('it stands in the queue', async () => {
      if (index % 50 !== 49) return true;
      const { body } = await server.inspect('k');
      return (body['waiters'] as unknown[]).length === index + 1;
    });
  }
  await server.release('k', held.body['id']);
  await Promise.all(waiting);
  agent.destroy();
  expect(new Set(tokens).size).toBe(clients);
  expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
  // Fifty are sent at the same time, on connections of their own: their order among each other is the network's.
  for (const [place, index] of served.entries()) expect(Math.abs(place - index)).toBeLessThan(50);
  await pollUntil('the memory is back', async () => {
    const { heapUsed, problems } = await server.memory();
    expect(problems).toBe(0);
    return heapUsed - before.heapUsed < 5_000_000;
  });
}, 120_000);

test('2,000 idle waits fit into a server of less than 200 MB, and leave with their clients', async () => {
  const waits = 2000;
  // Before anything happens, Node.js 24 takes some 20 MB more than 20 does.
  const limit = Number.parseInt(process.versions.node) < 22 ? 200_000_000 : 230_000_000;
  const store = { redis: redis.url, keyPrefix: uniquePrefix('idle') };
  await using server = await LockServerProcess.start(store);
  await server.acquire('k', { leaseMs: 600_000 });
  const agent = new Agent({ maxSockets: Infinity });
  const all = Array.from({ length: waits }, () =>
    post(server.url, agent, '/v1/semaphores/k/permits', { waitMs: null }).catch(() => undefined),
  );
  const countWaiters = async (): Promise<number> => {
    const { body } = await server.inspect('k');
    return (body['waiters'] as unknown[]).length;
  };
  await pollUntil('all wait', async () => (await countWaiters()) === waits, 30_000);
  const { rss } = await server.memory();
  expect(rss).toBeLessThan(limit);
  agent.destroy();
  await Promise.all(all);
  await pollUntil('all have left', async () => (await countWaiters()) === 0, 30_000);
}, 120_000);

async function post(
  url: string,
  agent: Agent,
  path: string,
  body: unknown,
): Promise<Record<string, unknown>> {
  const headers = { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' };
  const request = httpRequest(url + path, { method: 'POST', agent, headers });
  request.end(JSON.stringify(body));
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return JSON.parse(text);
}
