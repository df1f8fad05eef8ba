import { Controller, Get } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  InvalidOptionsError,
  MemorySemaphoreStore,
  type SemaphoreHealth,
  SemaphoreHealthIndicator,
  SemaphoreService,
  type StoreClient,
  type StoreSession,
} from 'nestjs-semaphore';
import { TcpProxy } from '../support/faults/tcp-proxy.js';
import { adapters, TestApp } from '../support/nest-app.js';
import { pollUntil } from '../support/redis-admin.js';
import { type RedisServer, startRedis } from '../support/redis-server.js';
import { nextEvent } from '../support/semaphores.js';

@Controller()
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly semaphores: SemaphoreHealthIndicator,
  ) {}

  @Get('health')
  @HealthCheck()
  check() {
    return this.health.check([() => this.semaphores.isHealthy('locks', { timeoutMs: 300 })]);
  }
}

const parts = {
  imports: [TerminusModule.forRoot({ logger: false })],
  controllers: [HealthController],
};

const up = {
  status: 'up',
  latencyMs: expect.any(Number),
  subscriberConnected: true,
  lastSignOfLifeMs: expect.any(Number),
};

describe.each(adapters)('the health check of terminus on $platform', ({ createAdapter }) => {
  let redis: RedisServer;
  let app: TestApp;

  beforeEach(async () => {
    redis = await startRedis();
    app = await TestApp.start(createAdapter, parts, { redis: redis.url });
  });
  afterEach(async () => {
    await app.close();
    await redis.stop();
  });

  const health = async () => {
    const response = await app.fetch('/health');
    const body = (await response.json()) as { details: { locks: Record<string, unknown> } };
    return { status: response.status, locks: body.details.locks };
  };

  const untilUp = () =>
    pollUntil('it is up', async () => {
      const { status, locks } = await health();
      return status === 200 && locks['subscriberConnected'] === true;
    });

  test('follows Redis when it is stopped and started again', async () => {
    await untilUp();
    expect(await health()).toEqual({ status: 200, locks: up });

    const down = nextEvent(app.semaphores, 'store-down');
    await redis.kill();
    await down;
    const gone = await health();
    expect(gone).toMatchObject({
      status: 503,
      locks: { status: 'down', latencyMs: null, subscriberConnected: false },
    });
    expect(gone.locks['message']).toEqual(expect.any(String));
    const later = await health();
    expect(later.locks['lastSignOfLifeMs']).toBeGreaterThan(Number(gone.locks['lastSignOfLifeMs']));

    await redis.restart();
    await untilUp();
  });

  test('is down while Redis does not answer, and does not wait for longer than it may', async () => {
    await untilUp();
    redis.pause();
    try {
      const { status, locks } = await health();
      expect(status).toBe(503);
      expect(locks).toMatchObject({ status: 'down', latencyMs: null, subscriberConnected: true });
      expect(locks['message']).toMatch(/did not answer within \d+ ms/);
      expect(locks['lastSignOfLifeMs']).toBeGreaterThanOrEqual(290);
    } finally {
      redis.resume();
    }
    await untilUp();
  });
});

/** A store of the user's, without the optional part of the port. */
class PlainStore extends MemorySemaphoreStore {
  isStuck = false;

  override connect(client: StoreClient): StoreSession {
    const session = super.connect(client);
    const inspect = session.inspect.bind(session);
    return Object.assign(session, {
      health: undefined,
      inspect: (key: string) => (this.isStuck ? new Promise<never>(() => undefined) : inspect(key)),
    });
  }
}

describe('SemaphoreHealthIndicator', () => {
  test('asks again when the connection breaks while it asks, and says so when there is no other', async () => {
    await using redis = await startRedis();
    await using proxy = await TcpProxy.start(redis.port);
    const service = new SemaphoreService({ redis: proxy.url, log: 'none' });
    await using _closing = { [Symbol.asyncDispose]: () => service.close() };
    const indicator = new SemaphoreHealthIndicator(service);
    await indicator.isHealthy('locks', { timeoutMs: 5_000 });
    const breakWhileAsking = async (timeoutMs: number): Promise<SemaphoreHealth> => {
      proxy.fault = { dropReplies: true };
      const asked = indicator.isHealthy('locks', { timeoutMs });
      await new Promise((resolve) => setImmediate(resolve));
      proxy.fault = {};
      proxy.cut();
      return (await asked).locks;
    };
    expect(await breakWhileAsking(5_000)).toMatchObject({ status: 'up' });
    redis.pause();
    const { status, message } = await breakWhileAsking(200);
    redis.resume();
    expect(status).toBe('down');
    expect(message).toMatch(/^no connection to Redis for \d+ ms/);
  });

  test('is up with the store in memory, and down once it is closed', async () => {
    const service = new SemaphoreService();
    const indicator = new SemaphoreHealthIndicator(service);
    expect(await indicator.isHealthy()).toEqual({
      semaphore: { status: 'up', latencyMs: 0, subscriberConnected: true, lastSignOfLifeMs: 0 },
    });
    await service.close();
    const { semaphore } = await indicator.isHealthy();
    expect(semaphore).toMatchObject({ status: 'down', message: expect.stringContaining('closed') });
  });

  test('asks a store that knows of no health by a call', async () => {
    const store = new PlainStore();
    const service = new SemaphoreService({ store });
    const indicator = new SemaphoreHealthIndicator(service);
    expect((await indicator.isHealthy('store')).store).toMatchObject({
      status: 'up',
      subscriberConnected: true,
      lastSignOfLifeMs: 0,
    });
    store.isStuck = true;
    expect((await indicator.isHealthy('store', { timeoutMs: 20 })).store).toEqual({
      status: 'down',
      latencyMs: null,
      subscriberConnected: false,
      lastSignOfLifeMs: null,
      message: 'the store did not answer within 20 ms',
    });
    await service.close();
  });

  test.each([[0], [-1], [Number.NaN], [Infinity], ['1']])('refuses a timeout of %p', async (ms) => {
    const service = new SemaphoreService();
    const indicator = new SemaphoreHealthIndicator(service);
    const timeoutMs = ms as number;
    await expect(indicator.isHealthy('k', { timeoutMs })).rejects.toThrow(InvalidOptionsError);
    await expect(indicator.isHealthy('')).rejects.toThrow(InvalidOptionsError);
    const ofTerminus = { timeout: ms } as object;
    await expect(indicator.isHealthy('k', ofTerminus)).rejects.toThrow('mean `timeoutMs`');
    await service.close();
  });
});
