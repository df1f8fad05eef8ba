import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  ResultNotSharedError,
  SingleFlightAbortedError,
  SingleFlightTimeoutError,
} from 'nestjs-semaphore';
import { Job, Pilots, untilFollowed } from '../../support/flights.js';
import { pollUntil } from '../../support/redis-admin.js';
import { useRedis } from '../../support/redis-server.js';
import { aborted } from '../../support/semaphores.js';

const server = useRedis();

/** The news may come any time after what it tells. */
async function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted === false) await once(signal, 'abort');
}

/** Resolves when the garbage collector has taken all of them. */
async function untilCollected(things: readonly WeakRef<object>[]): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  await pollUntil('everything is collected', () => {
    collect();
    return Promise.resolve(things.every((thing) => thing.deref() === undefined));
  });
}

describe.each([
  ['memory', () => new Pilots()],
  ['Redis', () => new Pilots({ redis: server.url })],
])('single flight in %s', (_, open) => {
  it('does the work once for all who ask at the same time', async () => {
    await using pilots = open();
    const { key } = pilots;
    const all = [pilots.join(), pilots.join(), pilots.join()];
    const job = new Job<{ at: Date }>();
    const calls = all.flatMap(({ flights }) =>
      Array.from({ length: 10 }, () => flights.run(key, job.work)),
    );
    await job.started;
    await untilFollowed(all[0]!, key, 2);
    const result = { at: new Date() };
    job.finish(result);
    expect(await Promise.all(calls)).toEqual(calls.map(() => result));
    expect(job.runs).toBe(1);
  });

  it('does the work again for who asks later', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    let runs = 0;
    const work = (): number => ++runs;
    expect(await a.flights.run(pilots.key, work)).toBe(1);
    expect(await a.flights.run(pilots.key, work)).toBe(2);
    expect(await b.flights.run(pilots.key, work)).toBe(3);
  });

  it('does the work of other keys at the same time', async () => {
    await using pilots = open();
    const { flights } = pilots.join();
    const [one, two] = [new Job<number>(), new Job<number>()];
    const calls = [flights.run('one', one.work), flights.run('two', two.work)];
    await Promise.all([one.started, two.started]);
    one.finish(1);
    two.finish(2);
    expect(await Promise.all(calls)).toEqual([1, 2]);
  });

  it.each([undefined, null, 0, -0, '', false, Number.NaN, [], {}])(
    'gives %p to followers, and from the store',
    async (value) => {
      await using pilots = open();
      const [a, b] = [pilots.join(), pilots.join()];
      const job = new Job<unknown>();
      const options = { ttlMs: 60_000 };
      const led = a.flights.run(pilots.key, job.work, options);
      await job.started;
      const followed = b.flights.run(pilots.key, job.work, options);
      await untilFollowed(a, pilots.key);
      job.finish(value);
      expect([await led, await followed]).toEqual([value, value]);
      expect(await b.flights.run(pilots.key, job.work, options)).toEqual(value);
      expect(job.runs).toBe(1);
    },
  );

  it('gives a result of a megabyte and one that no message carries', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    for (const length of [1_000_000, 3_000_000]) {
      const job = new Job<string>();
      const led = a.flights.run(pilots.key, job.work);
      await job.started;
      const followed = b.flights.run(pilots.key, job.work);
      await untilFollowed(a, pilots.key);
      job.finish('x'.repeat(length));
      expect((await led).length).toBe(length);
      expect((await followed).length).toBe(length);
      expect(job.runs).toBe(1);
    }
  });

  it("gives the leader's error to all, with name, message, code, fields and cause", async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    class QuotaError extends Error {
      override name = 'QuotaError';
      code = 'QUOTA';
      left = { units: 0n };
    }
    const error = new QuotaError('used up', { cause: new TypeError('deep') });
    const job = new Job<never>();
    const led = a.flights.run(pilots.key, job.work).catch((reason: unknown) => reason);
    await job.started;
    const local = a.flights.run(pilots.key, job.work).catch((reason: unknown) => reason);
    const followed = b.flights.run(pilots.key, job.work).catch((reason: unknown) => reason);
    await untilFollowed(a, pilots.key);
    job.fail(error);
    expect(await led).toBe(error);
    expect(await local).toBe(error);
    const copy = await followed;
    expect(copy).toBeInstanceOf(Error);
    expect(copy).toMatchObject({
      name: 'QuotaError',
      message: 'used up',
      code: 'QUOTA',
      left: { units: 0n },
      cause: { name: 'TypeError', message: 'deep' },
    });
    expect(job.runs).toBe(1);
  });

  it('keeps no error for later callers', async () => {
    await using pilots = open();
    const { flights } = pilots.join();
    let runs = 0;
    const work = (): number => {
      if (++runs === 1) throw new Error('at first');
      return runs;
    };
    await expect(flights.run(pilots.key, work, { ttlMs: 60_000 })).rejects.toThrow('at first');
    expect(await flights.run(pilots.key, work, { ttlMs: 60_000 })).toBe(2);
  });

  it('tells followers of a result that was serialized otherwise than theirs', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const serializer = { serialize: () => '<1/>', deserialize: () => 1 };
    const job = new Job<number>();
    const led = a.flights.run(pilots.key, job.work, { serializer });
    await job.started;
    const followed = b.flights.run(pilots.key, job.work).catch((reason: unknown) => reason);
    await untilFollowed(a, pilots.key);
    job.finish(1);
    expect(await led).toBe(1);
    expect(await followed).toBeInstanceOf(ResultNotSharedError);
    expect(await followed).toHaveProperty(
      'message',
      expect.stringContaining('use the same serializer in all processes.'),
    );
  });

  it('tells followers of a result that cannot be serialized, and gives it to the caller that has it', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const job = new Job<() => number>();
    const led = a.flights.run(pilots.key, job.work, { ttlMs: 60_000 });
    await job.started;
    const local = a.flights.run(pilots.key, job.work).catch((reason: unknown) => reason);
    const followed = b.flights.run(pilots.key, job.work).catch((reason: unknown) => reason);
    await untilFollowed(a, pilots.key);
    job.finish(() => 42);
    expect((await led)()).toBe(42);
    for (const error of await Promise.all([local, followed])) {
      expect(error).toBeInstanceOf(ResultNotSharedError);
      expect(error).toMatchObject({ message: expect.stringContaining('result is a function') });
    }
  });

  it('tells followers of a result that is larger than allowed', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const job = new Job<string>();
    const options = { maxResultBytes: 1000 };
    const led = a.flights.run(pilots.key, job.work, options);
    await job.started;
    const followed = b.flights.run(pilots.key, job.work, options);
    await untilFollowed(a, pilots.key);
    job.finish('x'.repeat(2000));
    await expect(followed).rejects.toThrow(/bytes, and `maxResultBytes` is 1000/);
    expect(await led).toHaveLength(2000);
  });

  it('lets a caller give up alone, by time or by signal', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const job = new Job<string>();
    const led = a.flights.run(pilots.key, job.work);
    await job.started;
    const stays = b.flights.run(pilots.key, job.work);
    const hurried = b.flights.run(pilots.key, job.work, { timeoutMs: 20 });
    const impatient = new AbortController();
    const aborted = b.flights.run(pilots.key, job.work, { signal: impatient.signal });
    await expect(hurried).rejects.toBeInstanceOf(SingleFlightTimeoutError);
    impatient.abort('enough');
    await expect(aborted).rejects.toMatchObject({ cause: 'enough' });
    await untilFollowed(a, pilots.key);
    job.finish('done');
    expect(await Promise.all([led, stays])).toEqual(['done', 'done']);
    expect(job.signals[0]?.aborted).toBe(false);
    expect(job.runs).toBe(1);
  });

  it('goes on with the work when its own caller gives up, for another caller of the process', async () => {
    await using pilots = open();
    const { flights, semaphores } = pilots.join();
    const job = new Job<string>();
    const impatient = new AbortController();
    const leaves = flights.run(pilots.key, job.work, { signal: impatient.signal });
    await job.started;
    const stays = flights.run(pilots.key, () => 'never begun');
    impatient.abort();
    await expect(leaves).rejects.toBeInstanceOf(SingleFlightAbortedError);
    expect((await semaphores.inspect(`single-flight:${pilots.key}`)).held).toBe(1);
    job.finish('done');
    expect(await stays).toBe('done');
    expect(job.signals[0]?.aborted).toBe(false);
    expect(job.runs).toBe(1);
  });

  it("goes on with the work when its own caller gives up, for another process's caller", async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const job = new Job<string>();
    const impatient = new AbortController();
    const led = a.flights.run(pilots.key, job.work, { signal: impatient.signal });
    await job.started;
    const followed = b.flights.run(pilots.key, job.work);
    await untilFollowed(a, pilots.key);
    impatient.abort();
    await expect(led).rejects.toBeInstanceOf(SingleFlightAbortedError);
    await untilFollowed(a, pilots.key);
    job.finish('done');
    expect(await followed).toBe('done');
    expect(job.signals[0]?.aborted).toBe(false);
    expect(job.runs).toBe(1);
  });

  it('aborts the work when nobody waits for it any more', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const job = new Job<string>();
    const impatient = new AbortController();
    const { signal } = impatient;
    const led = a.flights.run(pilots.key, job.work, { signal });
    await job.started;
    const followed = b.flights.run(pilots.key, job.work, { signal });
    await untilFollowed(a, pilots.key);
    impatient.abort();
    await expect(led).rejects.toBeInstanceOf(SingleFlightAbortedError);
    await expect(followed).rejects.toBeInstanceOf(SingleFlightAbortedError);
    await untilAborted(job.signals[0]);
    expect(String(job.signals[0]?.reason)).toContain('nobody waits for the result any more');
    job.fail(job.signals[0]?.reason);
    expect(await a.flights.run(pilots.key, () => 'new work')).toBe('new work');
  });

  it('does not wait for work that goes on although nobody wants it any more', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const job = new Job<string>();
    const ttlMs = 60_000;
    const impatient = new AbortController();
    const led = a.flights.run(pilots.key, job.work, { signal: impatient.signal, ttlMs });
    await job.started;
    impatient.abort();
    await expect(led).rejects.toBeInstanceOf(SingleFlightAbortedError);
    await aborted(job.signals[0]!);
    expect(await b.flights.run(pilots.key, () => 'new work', { ttlMs })).toBe('new work');
    job.finish('late');
    await a.semaphores.inspect(pilots.key);
    expect(await a.flights.run(pilots.key, () => 'other', { ttlMs })).toBe('new work');
  });

  it("does another caller's work when the first caller left before there was a permit", async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const led = new Job<never>();
    const [first, second] = [new Job<string>(), new Job<string>()];
    const failing = a.flights.run(pilots.key, led.work).catch(() => 'failed');
    await led.started;
    const impatient = new AbortController();
    const leaves = b.flights.run(pilots.key, first.work, { signal: impatient.signal });
    const stays = b.flights.run(pilots.key, second.work);
    await untilFollowed(a, pilots.key);
    impatient.abort();
    await expect(leaves).rejects.toBeInstanceOf(SingleFlightAbortedError);
    const holder = (await a.semaphores.inspect(`single-flight:${pilots.key}`)).holders[0];
    await a.semaphores.forceRelease(`single-flight:${pilots.key}`, holder?.id ?? '');
    await second.started;
    second.finish('mine');
    expect(await stays).toBe('mine');
    expect(first.runs).toBe(0);
    led.fail(led.signals[0]?.reason);
    expect(await failing).toBe('failed');
  });

  it('lets a leader that lost its permit neither publish nor keep its result', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const [late, right] = [new Job<string>(), new Job<string>()];
    const options = { ttlMs: 60_000 };
    const led = a.flights.run(pilots.key, late.work, options);
    await late.started;
    const followed = b.flights.run(pilots.key, right.work, options);
    await untilFollowed(a, pilots.key);
    const [holder] = (await a.semaphores.inspect(`single-flight:${pilots.key}`)).holders;
    await b.semaphores.forceRelease(`single-flight:${pilots.key}`, holder?.id ?? '');
    await right.started;
    await untilAborted(late.signals[0]);
    late.finish('late');
    expect(await led).toBe('late');
    right.finish('right');
    expect(await followed).toBe('right');
    expect(await a.flights.run(pilots.key, late.work, options)).toBe('right');
    expect([late.runs, right.runs]).toEqual([1, 1]);
  });

  it('lets nobody join a leader that lost its permit', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const job = new Job<string>();
    const led = a.flights.run(pilots.key, job.work);
    await job.started;
    const permitKey = `single-flight:${pilots.key}`;
    const [holder] = (await b.semaphores.inspect(permitKey)).holders;
    expect(await b.semaphores.forceRelease(permitKey, holder?.id ?? '')).toBe(true);
    await aborted(job.signals[0]!);
    expect(await a.flights.run(pilots.key, () => 'new work')).toBe('new work');
    job.finish('late');
    expect(await led).toBe('late');
  });

  it('does the work of each caller in the context of that caller', async () => {
    const { AsyncLocalStorage } = await import('node:async_hooks');
    const storage = new AsyncLocalStorage<string>();
    await using pilots = open();
    const { flights } = pilots.join();
    const work = async (): Promise<string | undefined> => {
      await sleep(1);
      return storage.getStore();
    };
    expect(await storage.run('mine', () => flights.run(pilots.key, work))).toBe('mine');
  });

  it('leaves nothing behind in the process: no permits, no work, no results', async () => {
    await using pilots = open();
    const [a, b] = [pilots.join(), pilots.join()];
    const things: WeakRef<object>[] = [];
    const noted = <T extends object>(thing: T): T => {
      things.push(new WeakRef(thing));
      return thing;
    };
    const work = () => noted(async () => noted({ size: 'large' }));
    const impatient = AbortSignal.timeout(30);
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const key = `key ${i}`;
        const options = { ttlMs: i % 2 };
        await Promise.all([a, a, b].map(({ flights }) => flights.run(key, work(), options)));
        const endless = (signal: AbortSignal): Promise<never> =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          });
        const options2 = { signal: impatient };
        await b.flights.run(`${key} aborted`, noted(endless), options2).catch(() => undefined);
      }),
    );
    await pollUntil('nobody holds or waits', async () => {
      const { done } = await a.semaphores.list()[Symbol.asyncIterator]().next();
      return done === true;
    });
    await untilCollected(things);
  });
});
