import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisSemaphoreStore } from '../../../lib/store/redis/redis.semaphore-store.js';
import { Job, type Pilot, Pilots, untilFollowed } from '../../support/flights.js';
import { withRedis } from '../../support/redis-admin.js';
import { useRedis } from '../../support/redis-server.js';
import { StoreServer } from '../../support/store-server.js';

/** More than a message carries of a result that is kept. */
const LONG = 'x'.repeat(1_500_000);

const redis = useRedis();

let pilots: Pilots;
let server: StoreServer;

const limitMemory = (bytes: number): Promise<unknown> =>
  withRedis(redis.port, (admin) => admin.config('SET', 'maxmemory', bytes));

describe('a long result that is not kept', () => {
  beforeAll(async () => {
    pilots = new Pilots({ redis: redis.url });
    server = await StoreServer.start(
      new RedisSemaphoreStore({ redis: redis.url, keyPrefix: pilots.prefix }),
    );
  });

  afterAll(async () => {
    await pilots[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  it('reaches who waits when it was forgotten meanwhile', async () => {
    const { led, followed, job, leader } = await fly('forgotten', pilots.join(), pilots.join());
    await leader.flights.forget('forgotten');
    job.finish(LONG);
    expect((await led) === LONG && (await followed) === LONG).toBe(true);
    expect(job.runs).toBe(1);
  });

  it('reaches who waits when an older one can still be used', async () => {
    const [leader, follower] = [pilots.join(), pilots.join()];
    await leaveStale(leader, 'older');
    const { led, followed, job } = await fly('older', leader, follower);
    job.finish(LONG);
    expect((await led) === LONG && (await followed) === LONG).toBe(true);
    expect(job.runs).toBe(1);
  });

  it('reaches who waits when the memory of Redis is full', async () => {
    const { led, followed, job } = await fly('full', pilots.join(), pilots.join());
    await limitMemory(1);
    job.finish(LONG);
    try {
      expect((await led) === LONG && (await followed) === LONG).toBe(true);
      expect(job.runs).toBe(1);
    } finally {
      await limitMemory(0);
    }
  });

  it('never leaves an older one to who waits at a server, and asked for none that is stale', async () => {
    const [leader, follower] = [pilots.joinOver(server), pilots.joinOver(server)];
    await leaveStale(leader, 'older, over HTTP');
    const { led, followed, job } = await fly('older, over HTTP', leader, follower);
    job.finish(LONG);
    expect((await led) === LONG && (await followed) === LONG).toBe(true);
  });
});

async function leaveStale({ flights }: Pilot, key: string): Promise<void> {
  await flights.run(key, () => 'old', { ttlMs: 1, staleWhileRevalidateMs: 60_000 });
  await sleep(3);
}

async function fly(
  key: string,
  leader: Pilot,
  follower: Pilot,
): Promise<{ led: Promise<string>; followed: Promise<string>; job: Job<string>; leader: Pilot }> {
  const job = new Job<string>();
  const led = leader.flights.run(key, job.work);
  await job.started;
  const followed = follower.flights.run(key, job.work);
  await untilFollowed(leader, key);
  return { led, followed, job, leader };
}
