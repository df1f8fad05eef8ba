import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  InvalidOptionsError,
  ResultNotSharedError,
  SemaphoreStore,
  StoreUnavailableError,
  type StoreClient,
  type StoreSession,
} from 'nestjs-semaphore';
import { MemorySemaphoreStore } from '../../../lib/store/memory/memory.semaphore-store.js';
import { RedisSemaphoreStore } from '../../../lib/store/redis/redis.semaphore-store.js';
import { Job, type Pilot, Pilots, untilFollowed } from '../../support/flights.js';
import { HttpProxy } from '../../support/http-proxy.js';
import { useRedis } from '../../support/redis-server.js';
import { queued } from '../../support/semaphores.js';
import { StoreServer } from '../../support/store-server.js';
import { uniquePrefix } from '../../support/unique-prefix.js';

const redis = useRedis();

const ROUNDS = 20;

describe('single flight over HTTP', () => {
  let pilots: Pilots;
  let server: StoreServer;

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

  it('is one with the processes that ask Redis themselves, whoever leads', async () => {
    const [one, other, direct] = [pilots.joinOver(server), pilots.joinOver(server), pilots.join()];
    for (const [index, leader] of [one, direct].entries()) {
      const key = `led ${index}`;
      const job = new Job<unknown>();
      const followers = [one, other, direct].filter((pilot) => pilot !== leader);
      const led = leader.flights.run(key, job.work);
      await job.started;
      const followed = followers.map(({ flights }) => flights.run(key, job.work));
      await untilFollowed(direct, key, followers.length);
      const result = { at: new Date(5), big: 5n, nothing: undefined };
      job.finish(result);
      expect(await Promise.all([led, ...followed])).toEqual([result, result, result]);
      expect(job.runs).toBe(1);
    }
  });

  it('gives an error to all, keeps what is to be kept, and forgets it', async () => {
    const [one, other] = [pilots.joinOver(server), pilots.joinOver(server)];
    const job = new Job<string>();
    const led = one.flights.run('fails', job.work);
    await job.started;
    const followed = other.flights.run('fails', job.work);
    await untilFollowed(one, 'fails');
    job.fail(Object.assign(new RangeError('of the work'), { code: 'E_WORK' }));
    for (const failed of [led, followed]) {
      await expect(failed).rejects.toMatchObject({ message: 'of the work', code: 'E_WORK' });
    }

    expect(await one.flights.run('kept', () => 'old', { ttlMs: 60_000 })).toBe('old');
    expect(await other.flights.run('kept', () => 'new', { ttlMs: 60_000 })).toBe('old');
    await one.flights.forget('kept');
    expect(await other.flights.run('kept', () => 'new', { ttlMs: 60_000 })).toBe('new');
  });

  // Longer than what travels with events and calls.
  it('publishes a long result before it gives the permit back', async () => {
    const all = Array.from({ length: 4 }, () => pilots.joinOver(server));
    const long = 'x'.repeat(60_000);
    for (let round = 0; round < ROUNDS; round++) {
      let runs = 0;
      const work = (): string => `${long}${++runs}`;
      const results = await Promise.all(
        all.map(async ({ flights }, index) => {
          await new Promise((resolve) => setTimeout(resolve, (index * round) % 7));
          return flights.run(`long ${round}`, work, { ttlMs: 60_000 });
        }),
      );
      expect(new Set(results)).toEqual(new Set([`${long}1`]));
      expect(runs).toBe(1);
    }
  });

  it('finds the result that was published while the connections were broken', async () => {
    const [leader, follower] = [pilots.join(), pilots.joinOver(server)];
    for (let round = 0; round < 3; round++) {
      const key = `broken ${round}`;
      const job = new Job<string>();
      const led = leader.flights.run(key, job.work);
      await job.started;
      // It has heard of its place: who asks again after the publication came after it.
      const { outcome: followed } = await queued(follower.semaphores, () =>
        follower.flights.run(key, job.work),
      );
      server.cut();
      job.finish('done');
      expect(await Promise.all([led, followed])).toEqual(['done', 'done']);
      expect(job.runs).toBe(1);
    }
  });

  it('says to the others when a result is longer than the server takes', async () => {
    const [leader, follower] = [pilots.joinOver(server), pilots.joinOver(server)];
    const options = { maxResultBytes: 100_000_000 };
    const job = new Job<string>();
    const led = leader.flights.run('too long', job.work, options);
    await job.started;
    const followed = follower.flights.run('too long', job.work, options);
    await untilFollowed(leader, 'too long');
    const long = 'x'.repeat(4 * 1024 * 1024);
    job.finish(long);
    expect((await led) === long).toBe(true);
    await expect(followed).rejects.toThrow(ResultNotSharedError);
    await expect(followed).rejects.toThrow('the store takes 4194304: return less');
    expect(job.runs).toBe(1);
  });
});

it("a result that is too long for a proxy is nobody else's, and the work is done once", async () => {
  await using server = await StoreServer.start(new MemorySemaphoreStore());
  await using proxy = await HttpProxy.start(server.url);
  proxy.maxBodyBytes = 1024 * 1024;
  await using pilots = new Pilots();
  const all = [1, 2, 3].map(() => pilots.joinOver(proxy));
  const job = new Job<string>();
  const led = all[0]!.flights.run('long', job.work, { ttlMs: 60_000 });
  await job.started;
  const followed = all.slice(1).map(({ flights }) => flights.run('long', job.work));
  await untilFollowed(all[0]!, 'long', 2);
  const long = 'x'.repeat(1_200_000);
  job.finish(long);
  expect((await led) === long).toBe(true);
  for (const result of followed) {
    await expect(result).rejects.toThrow(ResultNotSharedError);
    await expect(result).rejects.toThrow('too long for something on the way to the store');
  }
  expect(job.runs).toBe(1);
  expect(await all[1]!.semaphores.inspect('single-flight:long')).toMatchObject({ held: 0 });
});

it("a result that JSON makes too long for the server is nobody else's either", async () => {
  await using server = await StoreServer.start(new MemorySemaphoreStore());
  await using pilots = new Pilots();
  const [leader, follower] = [pilots.joinOver(server), pilots.joinOver(server)];
  const options = { serializer: { serialize: String, deserialize: String } };
  const job = new Job<string>();
  const led = leader.flights.run('long', job.work, options);
  await job.started;
  const followed = follower.flights.run('long', job.work, options);
  await untilFollowed(leader, 'long');
  job.finish('\u0000'.repeat(2_000_000));
  expect(await led).toHaveLength(2_000_000);
  await expect(followed).rejects.toThrow(ResultNotSharedError);
  expect(job.runs).toBe(1);
});

it('many long results at once take no permit from anybody', async () => {
  await using server = await StoreServer.start(
    new RedisSemaphoreStore({ redis: redis.url, keyPrefix: uniquePrefix() }),
  );
  await using pilots = new Pilots();
  const [writer, reader, other] = [1, 2, 3].map(() => pilots.joinOver(server)) as [
    Pilot,
    Pilot,
    Pilot,
  ];
  const keys = Array.from({ length: 30 }, (_, i) => `long ${i}`);
  const resultOf = (key: string): string => key + 'x'.repeat(500_000);
  const permits = await Promise.all(
    [reader, other].map((pilot) => pilot.semaphores.acquire('k', { permits: 2 })),
  );
  const run = ({ flights }: Pilot): Promise<string[]> =>
    Promise.all(keys.map((key) => flights.run(key, () => resultOf(key), { ttlMs: 60_000 })));
  await run(writer);
  const results = await run(reader);
  expect(results.every((result, i) => result === resultOf(keys[i] ?? ''))).toBe(true);
  for (const permit of permits) expect(await permit.release()).toBe('released');
});

it('a result as long as the server takes arrives, whatever is in it', async () => {
  await using server = await StoreServer.start(new MemorySemaphoreStore());
  await using pilots = new Pilots();
  const [one, other] = [pilots.joinOver(server), pilots.joinOver(server)];
  const text = '"'.repeat(4 * 1024 * 1024 - 100);
  const options = { ttlMs: 60_000, serializer: { serialize: String, deserialize: String } };
  expect((await one.flights.run('long', () => text, options)) === text).toBe(true);
  expect((await other.flights.run('long', () => 'another', options)) === text).toBe(true);
});

it('an API key for other keys is told so', async () => {
  const access = { name: 'shop', isAdmin: false, mayUse: (key: string) => key.startsWith('shop:') };
  await using server = await StoreServer.start(new MemorySemaphoreStore(), { access });
  await using pilots = new Pilots();
  const { flights } = pilots.joinOver(server);
  await expect(flights.run('rates', () => 1)).rejects.toThrow(InvalidOptionsError);
  await expect(flights.forget('rates')).rejects.toThrow('one that the API key may use');
});

it('a server whose store can do none says so', async () => {
  class PlainStore extends SemaphoreStore {
    private readonly memory = new MemorySemaphoreStore();

    connect(client: StoreClient, clientId?: string): StoreSession {
      const session = this.memory.connect(client, clientId);
      return Object.defineProperty(session, 'flights', { value: undefined });
    }
  }
  await using server = await StoreServer.start(new PlainStore());
  await using pilots = new Pilots();
  const { flights } = pilots.joinOver(server);
  const failed = flights.run('key', () => 1);
  await expect(failed).rejects.toThrow(StoreUnavailableError);
  await expect(failed).rejects.toThrow('the store of the server can do no single flight');
});
