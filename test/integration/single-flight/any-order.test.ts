import { describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { type Pilot, Pilots } from '../../support/flights.js';
import { useRedis } from '../../support/redis-server.js';

/** All work takes some 100 ms; a process asks for those who were left waiting after 1,500. */
const LONG_MS = 1200;

interface Act {
  afterMs: number;
  process: number;
  key: 'a' | 'b';
  what: 'ask' | 'forget' | 'ask and go';
  ms: number;
}

const act: fc.Arbitrary<Act> = fc.record({
  afterMs: fc.integer({ min: 0, max: 60 }),
  process: fc.nat(2),
  key: fc.constantFrom('a', 'b'),
  what: fc.constantFrom('ask', 'ask', 'ask', 'ask', 'forget', 'ask and go'),
  ms: fc.integer({ min: 1, max: 4 }),
});

const times = fc.record({
  ttlMs: fc.constantFrom(0, 0, 10),
  staleWhileRevalidateMs: fc.constantFrom(0, 0, 20),
});

/** What goes wrong when they are done at their times, in processes of their own. */
async function faultsOf(acts: Act[], pilots: Pilots, options: object): Promise<string[]> {
  const faults: string[] = [];
  const processes = [pilots.join(), pilots.join(), pilots.join()];
  const forgotten = new Map<string, number>();

  async function ask({ flights }: Pilot, { process, key, what, ms }: Act): Promise<void> {
    const askedAt = performance.now();
    const notBefore = forgotten.get(`${process} ${key}`) ?? -Infinity;
    const patience = what === 'ask' ? {} : { timeoutMs: ms };
    const work = async (): Promise<number> => {
      const begunAt = performance.now();
      await delay(ms);
      return begunAt;
    };
    try {
      const begunAt = await flights.run(key, work, { ...options, ...patience });
      if (begunAt < notBefore) faults.push(`${key} was made before it was forgotten`);
    } catch (error) {
      if (what === 'ask') faults.push(String(error));
    }
    const tookMs = performance.now() - askedAt;
    if (tookMs > LONG_MS) faults.push(`${key} took ${tookMs} ms`);
  }

  await Promise.all(
    acts.map(async (one) => {
      const pilot = processes[one.process] as Pilot;
      await delay(one.afterMs);
      if (one.what !== 'forget') return ask(pilot, one);
      const forgottenAt = performance.now();
      await pilot.flights.forget(one.key);
      forgotten.set(`${one.process} ${one.key}`, forgottenAt);
    }),
  );
  return faults;
}

describe('calls and forgets in any order', () => {
  const server = useRedis();

  it.each([
    ['memory', () => new Pilots()],
    ['Redis', () => new Pilots({ redis: server.url })],
  ])('leave nobody waiting, nor with what was forgotten before, in %s', async (_, open) => {
    const acts = fc.array(act, { minLength: 40, maxLength: 80, size: 'max' });
    await fc.assert(
      fc.asyncProperty(acts, times, async (all, options) => {
        await using pilots = open();
        expect(await faultsOf(all, pilots, options)).toEqual([]);
      }),
      // How messages cross cannot be played again: what failed would not shrink.
      { numRuns: 25, endOnFailure: true },
    );
  });
});
