import { expect, test } from '@jest/globals';
import { type Permit, type SemaphoreService, semaphoreMiddleware } from 'nestjs-semaphore';
import { setTimeout as delay } from 'node:timers/promises';
import { type HistoryEntry, overTheLimit, tokensThatDoNotGrow } from '../support/history.js';
import { chains, ChainServer, type CreateChain, type Handler } from '../support/http-chain.js';
import { useRedis } from '../support/redis-server.js';
import { nextEvent, Semaphores } from '../support/semaphores.js';

const PERMITS = 5;
const REQUESTS = 200;

const redis = useRedis();

/** Works under the request's permit for some milliseconds, and notes when, unless the client leaves. */
function workInto(history: HistoryEntry[], semaphores: SemaphoreService): Handler {
  const work: Handler = async (request, response) => {
    const askedAt = Number(request.headers['x-asked-at']);
    const permit = await semaphores.use('pool');
    const enteredAt = performance.now();
    await delay(Math.random() * 4);
    if (response.destroyed) return;
    expect(await semaphores.use('pool')).toBe(permit);
    const { key, id, weight, fencingToken } = permit;
    const who = { key, id, weight, fencingToken, permits: PERMITS, priority: 0, pid: process.pid };
    history.push({ ...who, label: id, askedAt, enteredAt, leftAt: performance.now() });
    response.end('done');
  };
  return async (request, response, next) => {
    try {
      await work(request, response, next);
    } catch (error) {
      next(error);
    }
  };
}

async function crowd(createChain: CreateChain, acquireOnStart: boolean): Promise<HistoryEntry[]> {
  const history: HistoryEntry[] = [];
  await using semaphores = new Semaphores({ redis: redis.url });
  const start = (): Promise<ChainServer> => {
    const service = semaphores.open();
    const options = { key: 'pool', permits: PERMITS, waitMs: 20_000, acquireOnStart };
    const handlers = [semaphoreMiddleware(service, options), workInto(history, service)];
    return ChainServer.start(createChain, handlers);
  };
  await using one = await start();
  await using two = await start();
  const requests = Array.from({ length: REQUESTS }, (_, i) => {
    const headers = { 'x-asked-at': String(performance.now()) };
    return (i % 2 === 0 ? one : two).fetch('/', { headers });
  });
  const statuses = (await Promise.all(requests)).map(({ status }) => status);
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
  return history;
}

test.each(chains.flatMap((chain) => [true, false].map((atStart) => ({ ...chain, atStart }))))(
  '200 requests to two servers with $framework work 5 at a time, each under its own permit (acquireOnStart: $atStart)',
  async ({ createChain, atStart }) => {
    const history = await crowd(createChain, atStart);
    expect(new Set(history.map(({ id }) => id)).size).toBe(REQUESTS);
    expect(overTheLimit(history)).toEqual([]);
    expect(tokensThatDoNotGrow(history)).toEqual([]);
  },
);

test.each(chains)(
  'requests with $framework whose clients leave hold up nobody',
  async ({ createChain }) => {
    const history: HistoryEntry[] = [];
    await using semaphores = new Semaphores({ redis: redis.url });
    const service = semaphores.open();
    const handlers = [
      semaphoreMiddleware(service, { key: 'pool', permits: PERMITS, waitMs: 20_000 }),
      workInto(history, service),
    ];
    await using server = await ChainServer.start(createChain, handlers);
    const requests = Array.from({ length: REQUESTS }, async (_, i) => {
      const headers = { 'x-asked-at': String(performance.now()) };
      // Some leave before their request arrives, some while it waits, some while it is worked on.
      const signal = i % 2 === 0 ? AbortSignal.timeout(i) : undefined;
      return server.fetch('/', { headers, ...(signal && { signal }) }).catch(() => undefined);
    });
    const answers = await Promise.all(requests);
    expect(answers.filter((answer, i) => i % 2 === 1 && answer?.status !== 200)).toEqual([]);
    expect(overTheLimit(history)).toEqual([]);

    const all = await service.acquire('pool', { permits: PERMITS, weight: PERMITS });
    expect(await service.inspect('pool')).toMatchObject({ held: PERMITS, waiters: [] });
    await all.release();
  },
);

test.each([
  ['told', true],
  ['found out', false],
])(
  'work whose client has left is %s that its permit is not its own any more',
  async (_how, isListening) => {
    await using semaphores = new Semaphores({ redis: redis.url });
    const [service, other] = [semaphores.open(), semaphores.open()];
    const key = 'left';
    const order: string[] = [];
    let permit: Permit | undefined;
    const work: Handler = async () => {
      permit = await service.use(key);
      if (isListening) permit.signal.addEventListener('abort', () => order.push('told'));
      client.abort();
    };
    const client = new AbortController();
    const handlers = [semaphoreMiddleware(service, { key }), work];
    await using server = await ChainServer.start(chains[0]!.createChain, handlers);
    await expect(server.fetch('/', { signal: client.signal })).rejects.toThrow('abort');
    await using _next = await other.acquire(key);
    order.push('granted');
    expect(order).toEqual(isListening ? ['told', 'granted'] : ['granted']);
    expect(permit?.signal.reason).toMatchObject({
      code: 'SEMAPHORE_PERMIT_LOST',
      reason: 'released',
    });
  },
);

test('work that has sent its response hears nothing', async () => {
  await using semaphores = new Semaphores({ redis: redis.url });
  const service = semaphores.open();
  let permit: Permit | undefined;
  const work: Handler = async (_request, response) => {
    permit = await service.use('sent');
    response.end(String(permit.signal.aborted));
  };
  const handlers = [semaphoreMiddleware(service, { key: 'sent' }), work];
  await using server = await ChainServer.start(chains[0]!.createChain, handlers);
  const released = nextEvent(service, 'released');
  expect(await (await server.fetch()).text()).toBe('false');
  await released;
  expect([permit?.isHeld, permit?.signal.aborted]).toEqual([false, false]);
});
