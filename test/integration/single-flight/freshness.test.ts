import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SemaphoreEvent } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { filter, firstValueFrom } from 'rxjs';
import { Job, type Pilot, Pilots, untilFollowed } from '../../support/flights.js';
import { useRedis } from '../../support/redis-server.js';
import { queued } from '../../support/semaphores.js';

const server = useRedis();

type RefreshFailure = SemaphoreEvent & { type: 'refresh-failed' };

const isRefreshFailure = (event: SemaphoreEvent): event is RefreshFailure =>
  event.type === 'refresh-failed';

interface Scene {
  pilots: Pilots;
  advance(ms: number): Promise<unknown>;
}

function inMemory(): Scene {
  const clock = new VirtualClock();
  return { pilots: new Pilots({ clock }), advance: (ms) => clock.advance(ms) };
}

function inRedis(): Scene {
  return { pilots: new Pilots({ redis: server.url }), advance: (ms) => sleep(ms) };
}

// A leader's caller has its result before it is stored: times leave room for that on a busy machine.

/** Counts its runs, and returns the count. */
function counter(): { runs: number; work: () => number } {
  const made = { runs: 0, work: () => ++made.runs };
  return made;
}

/** Resolves when the work has been done `runs` times and its result is stored. */
async function untilStored({ semaphores }: Pilot, key: string, work: { runs: number }, runs = 2) {
  for (;;) {
    const isBegun = work.runs >= runs;
    const { held } = await semaphores.inspect(`single-flight:${key}`);
    if (isBegun && held === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Resolves when the other process has been told of all that this one did before. */
async function untilHeard(one: Pilot, other: Pilot): Promise<void> {
  const held = await one.semaphores.acquire('told');
  const { outcome } = await queued(other.semaphores, () => other.semaphores.acquire('told'));
  await held.release();
  await (await outcome).release();
}

describe.each([
  ['memory', inMemory],
  ['Redis', inRedis],
])('results kept in %s', (_, open) => {
  it('serve all processes until ttlMs is over', async () => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const [a, b] = [pilots.join(), pilots.join()];
    const { work } = counter();
    const options = { ttlMs: 600 };
    expect(await a.flights.run(pilots.key, work, options)).toBe(1);
    expect(await b.flights.run(pilots.key, work, options)).toBe(1);
    await advance(900);
    expect(await b.flights.run(pilots.key, work, options)).toBe(2);
    expect(await a.flights.run(pilots.key, work, options)).toBe(2);
  });

  it('are none with a ttlMs of 0, whatever time there is for old ones', async () => {
    const { pilots } = open();
    await using _pilots = pilots;
    const [a, b] = [pilots.join(), pilots.join()];
    const { work } = counter();
    const options = { ttlMs: 0, staleWhileRevalidateMs: 60_000 };
    expect(await a.flights.run(pilots.key, work, options)).toBe(1);
    expect(await b.flights.run(pilots.key, work, options)).toBe(2);
  });

  it('serve callers that ask for none themselves', async () => {
    const { pilots } = open();
    await using _pilots = pilots;
    const [a, b] = [pilots.join(), pilots.join()];
    const { work } = counter();
    await a.flights.run(pilots.key, work, { ttlMs: 60_000 });
    expect(await b.flights.run(pilots.key, work)).toBe(1);
  });

  it('are made anew when another serializer wrote them', async () => {
    const { pilots } = open();
    await using _pilots = pilots;
    const [before, after] = [pilots.join(), pilots.join()];
    const { work } = counter();
    const unlike = { serialize: () => '<1/>', deserialize: () => 'of XML' };
    await before.flights.run(pilots.key, work, { ttlMs: 60_000, serializer: unlike });
    expect(await after.flights.run(pilots.key, work, { ttlMs: 60_000 })).toBe(2);
    expect(await pilots.join().flights.run(pilots.key, work, { ttlMs: 60_000 })).toBe(2);
  });

  it('are dropped by forget, in all processes', async () => {
    const { pilots } = open();
    await using _pilots = pilots;
    const [a, b] = [pilots.join(), pilots.join()];
    const { work } = counter();
    const options = { ttlMs: 60_000 };
    expect(await a.flights.run(pilots.key, work, options)).toBe(1);
    await b.flights.forget(pilots.key);
    expect(await a.flights.run(pilots.key, work, options)).toBe(2);
    expect(await b.flights.run(pilots.key, work, options)).toBe(2);
  });

  it.each([
    ['leads', 0],
    ['follows', 1],
    ['does neither', 2],
  ])('are not what was under way when a process that %s forgot them', async (__, forgets) => {
    const { pilots } = open();
    await using _pilots = pilots;
    const [a, b, c] = [pilots.join(), pilots.join(), pilots.join()];
    const all = [a, b, c];
    const [before, after] = [new Job<string>(), new Job<string>()];
    const options = { ttlMs: 60_000 };
    const led = a.flights.run(pilots.key, before.work, options);
    await before.started;
    const early = b.flights.run(pilots.key, after.work, options);
    await untilFollowed(a, pilots.key);
    const forgetting = all[forgets] as Pilot;
    await forgetting.flights.forget(pilots.key);
    for (const other of all) await untilHeard(forgetting, other);
    const late = all.map(({ flights }) => flights.run(pilots.key, after.work, options));
    await untilFollowed(a, pilots.key, 4);
    before.finish('old');
    expect(await Promise.all([led, early])).toEqual(['old', 'old']);
    await after.started;
    after.finish('new');
    expect(await Promise.all(late)).toEqual(['new', 'new', 'new']);
    expect(await b.flights.run(pilots.key, before.work, options)).toBe('new');
    expect([before.runs, after.runs]).toEqual([1, 1]);
  });

  it('are served stale while exactly one process makes a new one', async () => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const all = [pilots.join(), pilots.join(), pilots.join()];
    const options = { ttlMs: 60_000, staleWhileRevalidateMs: 60_000 };
    await all[0]!.flights.run(pilots.key, () => 'old', { ...options, ttlMs: 50 });
    await advance(350);
    const job = new Job<string>();
    const ask = () =>
      Promise.all(all.map(({ flights }) => flights.run(pilots.key, job.work, options)));
    expect(await ask()).toEqual(['old', 'old', 'old']);
    await job.started;
    expect(await ask()).toEqual(['old', 'old', 'old']);
    expect(job.runs).toBe(1);
    job.finish('new');
    await untilStored(all[0]!, pilots.key, job, 1);
    expect(new Set(await ask())).toEqual(new Set(['new']));
    expect(job.runs).toBe(1);
  });

  it('are not served stale to callers that do not ask for that', async () => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const { flights } = pilots.join();
    const { work } = counter();
    const stale = { ttlMs: 50, staleWhileRevalidateMs: 60_000 };
    expect(await flights.run(pilots.key, work, stale)).toBe(1);
    await advance(350);
    expect(await flights.run(pilots.key, work)).toBe(2);
    expect(await flights.run(pilots.key, work, { ttlMs: 60_000 })).toBe(3);
    expect(await flights.run(pilots.key, work, stale)).toBe(3);
  });

  it('are made anew when the stale ones are too old', async () => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const { flights } = pilots.join();
    const { work } = counter();
    const options = { ttlMs: 50, staleWhileRevalidateMs: 100 };
    expect(await flights.run(pilots.key, work, options)).toBe(1);
    await advance(450);
    expect(await flights.run(pilots.key, work, options)).toBe(2);
  });

  it('stay when a refresh fails, and the next caller tries again', async () => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const [a, b] = [pilots.join(), pilots.join()];
    const options = { ttlMs: 50, staleWhileRevalidateMs: 60_000 };
    let runs = 0;
    const work = (): number => {
      if (++runs === 2) throw new Error('upstream is down');
      return runs;
    };
    await a.flights.run(pilots.key, work, options);
    await advance(350);
    const count = {
      get runs() {
        return runs;
      },
    };
    expect(await a.flights.run(pilots.key, work, options)).toBe(1);
    await untilStored(a, pilots.key, count, 2);
    expect(await b.flights.run(pilots.key, work, options)).toBe(1);
    await untilStored(b, pilots.key, count, 3);
    expect(await a.flights.run(pilots.key, work, options)).toBe(3);
  });

  it('stay when a refresh fails whose error is kept for others', async () => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const { flights, ...pilot } = pilots.join();
    const options = { ttlMs: 50, staleWhileRevalidateMs: 60_000, cacheErrorsMs: 60_000 };
    await flights.run(pilots.key, () => 'old', options);
    await advance(350);
    const failed = firstValueFrom(pilot.semaphores.events.pipe(filter(isRefreshFailure)));
    const work = (): never => {
      throw new Error('upstream is down');
    };
    expect(await flights.run(pilots.key, work, options)).toBe('old');
    await failed;
    expect(await flights.run(pilots.key, () => 'new', options)).toBe('old');
  });

  it.each([
    ['throws an error', () => Promise.reject(new Error('upstream is down')), 'upstream is down'],
    ['throws something else', () => Promise.reject('nothing' as never), 'nothing'],
    ['has a result that cannot be shared', () => () => 1, 'result is a function'],
  ])('are not renewed in silence by work that %s', async (_, work, message) => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const lines: string[] = [];
    const log = { sink: (_event: SemaphoreEvent, line: string) => lines.push(line) };
    const { flights, semaphores } = pilots.join({ log });
    const told = firstValueFrom(semaphores.events.pipe(filter(isRefreshFailure)));
    const options = { ttlMs: 50, staleWhileRevalidateMs: 60_000 };
    await flights.run<unknown>(pilots.key, () => 'old', options);
    await advance(350);
    expect(await flights.run<unknown>(pilots.key, work, options)).toBe('old');
    const event = await told;
    expect(event).toMatchObject({ key: `single-flight:${pilots.key}`, at: expect.any(Number) });
    expect(String(event.error)).toContain(message);
    expect(lines).toEqual([
      expect.stringMatching(`"single-flight:${pilots.key}" could not be made.*${message}`),
    ]);
  });

  it('tell of no failure when another process makes a new one', async () => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const [a, b] = [pilots.join(), pilots.join()];
    const failures: SemaphoreEvent[] = [];
    b.semaphores.events.pipe(filter(isRefreshFailure)).subscribe((event) => failures.push(event));
    const options = { ttlMs: 60_000, staleWhileRevalidateMs: 60_000 };
    await a.flights.run(pilots.key, () => 'old', { ...options, ttlMs: 50 });
    await advance(350);
    const job = new Job<string>();
    const both = [a, b].map(({ flights }) => flights.run(pilots.key, job.work, options));
    expect(await Promise.all(both)).toEqual(['old', 'old']);
    await job.started;
    job.finish('new');
    await untilStored(a, pilots.key, job, 1);
    expect(await b.flights.run(pilots.key, job.work, options)).toBe('new');
    expect([job.runs, failures]).toEqual([1, []]);
  });

  it('may be errors, for as long as cacheErrorsMs says', async () => {
    const { pilots, advance } = open();
    await using _pilots = pilots;
    const [a, b] = [pilots.join(), pilots.join()];
    let runs = 0;
    const work = (): number => {
      if (++runs === 1) throw Object.assign(new Error('not now'), { code: 'LATER' });
      return runs;
    };
    const options = { ttlMs: 60_000, cacheErrorsMs: 600 };
    await expect(a.flights.run(pilots.key, work, options)).rejects.toMatchObject({ code: 'LATER' });
    await expect(b.flights.run(pilots.key, work, options)).rejects.toMatchObject({
      message: 'not now',
      code: 'LATER',
    });
    expect(runs).toBe(1);
    await advance(900);
    expect(await b.flights.run(pilots.key, work, options)).toBe(2);
  });
});

describe('jitter', () => {
  it('makes results that were made together expire apart, none later than ttlMs', async () => {
    const clock = new VirtualClock();
    await using pilots = new Pilots({ clock });
    const { flights } = pilots.join();
    const keys = Array.from({ length: 100 }, (_, i) => `key ${i}`);
    const options = { ttlMs: 1000, jitter: 0.5 };
    const expired = async (): Promise<number> => {
      const made = counter();
      await Promise.all(keys.map((key) => flights.run(key, made.work, { timeoutMs: 60_000 })));
      return made.runs;
    };
    await Promise.all(keys.map((key) => flights.run(key, () => 0, options)));
    await clock.advance(490);
    expect(await expired()).toBe(0);
    await clock.advance(260);
    const half = await expired();
    expect(half).toBeGreaterThan(10);
    expect(half).toBeLessThan(90);
    await clock.advance(260);
    expect(await expired()).toBe(100);
  });
});
