import { beforeAll, expect, test } from '@jest/globals';
import autocannon from 'autocannon';
import { pollUntil, withRedis } from '../support/redis-admin.js';
import { startRedis } from '../support/redis-server.js';
import { mostAtOnce, PREPARE_TIMEOUT_MS, prepareSampleApp, SampleApp } from './sample-app.js';

/**
 * LOAD_SECONDS=20 for a longer look. The queue is served in order, and all connections of one instance may come before
 * those of the other: 25 reports of at most 800 ms, 3 at once, take 6.7 s before the other makes its first.
 */
const LOAD_SECONDS = Number(process.env['LOAD_SECONDS'] ?? 8);
const CONNECTIONS = 50;
/** As the app has it: after that a request is answered 429. */
const WAIT_MS = 8_000;
const DIGEST_EVERY_MS = 5_000;

interface LoadAnswer {
  status: number;
  retryAfter: string | undefined;
}

interface Load {
  answers: LoadAnswer[];
  result: autocannon.Result;
}

beforeAll(prepareSampleApp, PREPARE_TIMEOUT_MS);

/** Keeps CONNECTIONS requests going for LOAD_SECONDS; those that are on their way then are broken off. */
async function load(urls: string[]): Promise<Load> {
  const answers: LoadAnswer[] = [];
  const result = await autocannon({
    // The connections go to the URLs in turn; the types know of one only.
    url: urls as unknown as string,
    connections: CONNECTIONS,
    duration: LOAD_SECONDS,
    timeout: 60,
    setupClient: (client) => {
      let retryAfter: string | undefined;
      client.on('headers', (headers) => {
        retryAfter = headerOf(headers, 'retry-after');
      });
      client.on('response', (status) => answers.push({ status, retryAfter }));
    },
  });
  return { answers, result };
}

/** Autocannon hands over what its parser made of the headers: names and values in turn. */
function headerOf(head: object, name: string): string | undefined {
  const { headers } = head as { headers: string[] };
  return headers[headers.findIndex((entry) => entry.toLowerCase() === name) + 1];
}

function keysWithoutTtl(port: number): Promise<string[]> {
  return withRedis(port, async (redis) => {
    const keys = await redis.keys('*');
    const ttls = await Promise.all(keys.map((key) => redis.pttl(key)));
    return keys.filter((_key, index) => ttls[index] === -1);
  });
}

test(
  `two instances on one Redis under ${CONNECTIONS} connections never make more than 3 reports at once`,
  async () => {
    await using redis = await startRedis();
    await using first = await SampleApp.start({ REDIS_URL: redis.url });
    await using second = await SampleApp.start({ REDIS_URL: redis.url });
    const apps = [first, second];

    const { answers, result } = await load(apps.map(({ url }) => `${url}/reports`));
    await first.untilReports({ held: 0, waiting: 0 });
    const runs = (await Promise.all(apps.map((app) => app.runs()))).flat();

    // Everything was answered: no request failed but those broken off at the end, at most one a connection.
    const { errors, timeouts } = result;
    expect({ errors, timeouts }).toEqual({ errors: 0, timeouts: 0 });
    expect(result.requests.sent - answers.length).toBeLessThanOrEqual(CONNECTIONS);
    const statuses = new Set(answers.map(({ status }) => status));
    expect([200, 429]).toEqual(expect.arrayContaining([...statuses]));
    if (LOAD_SECONDS * 1000 > WAIT_MS + 2_000) expect(statuses).toEqual(new Set([200, 429]));
    for (const { status, retryAfter } of answers) {
      if (status === 429) expect(Number(retryAfter)).toBeGreaterThanOrEqual(1);
    }

    // The limit held over both, was used to the full, and both made reports.
    expect(mostAtOnce(runs)).toBe(3);
    expect(runs.length).toBeGreaterThanOrEqual(
      answers.filter(({ status }) => status === 200).length,
    );
    const busyMs = runs.reduce((sum, { enteredAt, leftAt }) => sum + leftAt - enteredAt, 0);
    expect(busyMs).toBeGreaterThan(LOAD_SECONDS * 1000 * 3 * 0.7);
    expect(new Set(runs.map(({ pid }) => pid))).toEqual(new Set(apps.map(({ pid }) => pid)));

    // Nothing starved: nobody waited for longer than is allowed, or was passed by one who came much later.
    const inOrder = runs.toSorted((a, b) => a.enteredAt - b.enteredAt);
    let latestArrival = 0;
    for (const { arrivedAt, enteredAt } of inOrder) {
      expect(enteredAt - arrivedAt).toBeLessThan(WAIT_MS + 1_000);
      expect(latestArrival - arrivedAt).toBeLessThan(1_500);
      latestArrival = Math.max(latestArrival, arrivedAt);
    }

    expect(await keysWithoutTtl(redis.port)).toEqual([]);
    expect(await Promise.all(apps.map((app) => app.stop()))).toEqual([0, 0]);
    expect(await keysWithoutTtl(redis.port)).toEqual([]);
  },
  LOAD_SECONDS * 1000 + 120_000,
);

test('the digest is sent once for all instances each time', async () => {
  await using redis = await startRedis();
  await using first = await SampleApp.start({ REDIS_URL: redis.url });
  await using second = await SampleApp.start({ REDIS_URL: redis.url });
  const sent = async (): Promise<number[]> => {
    const lists = await Promise.all(
      [first, second].map((app) => app.ask<{ at: number }[]>('/digest/runs')),
    );
    return lists.flatMap(({ body }) => body.map(({ at }) => Math.round(at / DIGEST_EVERY_MS)));
  };
  await pollUntil('three digests were sent', async () => (await sent()).length >= 3, 60_000);
  const ticks = await sent();
  expect(new Set(ticks).size).toBe(ticks.length);
}, 120_000);

test('100 requests to two instances at once cost one upstream call', async () => {
  await using redis = await startRedis();
  await using first = await SampleApp.start({ REDIS_URL: redis.url });
  await using second = await SampleApp.start({ REDIS_URL: redis.url });
  const apps = [first, second];
  const upstreamCalls = async (): Promise<number> => {
    const answers = await Promise.all(
      apps.map((app) => app.ask<{ calls: number }>('/rates/upstream')),
    );
    return answers.reduce((sum, { body }) => sum + body.calls, 0);
  };
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? first : second).ask('/rates/eur-usd')),
  );
  expect(await upstreamCalls()).toBe(1);
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  expect(answers[0]?.body).toMatchObject({ pair: 'EUR-USD' });
  await first.ask('/rates/gbp-usd');
  expect(await upstreamCalls()).toBe(2);
}, 120_000);

test('payments are fenced in the ledger that all instances share', async () => {
  await using redis = await startRedis();
  await using first = await SampleApp.start({ REDIS_URL: redis.url });
  await using second = await SampleApp.start({ REDIS_URL: redis.url });
  let isOver = false;
  const slow = first
    .post('/accounts/7/payments', { amount: 10, bankMs: 3_000 })
    .finally(() => (isOver = true));
  let paid = 0;
  while (!isOver) {
    const { status } = await second.post('/accounts/7/payments', { amount: 1 });
    expect(status).toBe(201);
    paid += 1;
  }
  expect((await slow).status).toBe(409);
  const last = await first.post<{ balance: number }>('/accounts/7/payments', { amount: 1 });
  expect(last.body.balance).toBe(1_000 - paid - 1);
}, 120_000);
