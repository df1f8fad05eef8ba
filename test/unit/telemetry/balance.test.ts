import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type AcquireOptions,
  MemorySemaphoreStore,
  type Permit,
  SemaphoreService,
} from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { Telemetry } from '../../support/telemetry.js';
import { type Fault, FlakyStore } from './flaky-store.js';

const NAME = 'balance';
let telemetry: Telemetry;

beforeAll(async () => {
  telemetry = await Telemetry.start();
});

afterAll(() => telemetry[Symbol.asyncDispose]());

/** Two processes that share a store which fails now and then. */
class World {
  readonly clock = new VirtualClock();
  readonly store = new FlakyStore(new MemorySemaphoreStore({ clock: this.clock }));
  readonly services = [0, 1].map(
    () => new SemaphoreService({ store: this.store, log: 'none', storeTimeoutMs: 40 }),
  );
  readonly permits: Permit[] = [];
  readonly aborts: AbortController[] = [];
  readonly outcomes: Promise<unknown>[] = [];
  asked = 0;

  acquire(service: number, key: string, options: AcquireOptions): void {
    const abort = new AbortController();
    this.aborts.push(abort);
    this.asked++;
    const granted = this.services[service]?.acquire(key, {
      ...options,
      name: NAME,
      signal: abort.signal,
    });
    this.outcomes.push(
      (granted as Promise<Permit>).then(
        (permit) => this.permits.push(permit),
        () => undefined,
      ),
    );
  }

  /** All that is held is released or lost, all who wait are let in or sent away. */
  async end(): Promise<void> {
    this.store.comeBack();
    const closed = this.services.map((service) => service.close());
    await this.clock.advance(1_000);
    await Promise.all([...closed, ...this.outcomes]);
    await Promise.all(this.permits.map((permit) => permit.release()));
    await this.clock.advance(60_000);
  }
}

type Step = (world: World) => unknown;

const oneOf = <T>(items: readonly T[], index: number): T | undefined => items[index % items.length];
const either = fc.nat(1);
const keys = fc.constantFrom('a', 'b');
const index = fc.nat(1_000);

const options: fc.Arbitrary<AcquireOptions> = fc.record({
  permits: fc.constantFrom(1, 1, 2),
  waitMs: fc.constantFrom(0, 20, 1_000),
  maxWaiting: fc.constantFrom(1, Infinity),
  leaseMs: fc.constantFrom(50, 5_000, 5_000),
  renew: fc.boolean(),
  reentrant: fc.boolean(),
  localPasses: fc.constantFrom(0, 3, 3),
  holdAtLeastMs: fc.constantFrom(0, 0, 80),
  onStoreFailure: fc.constantFrom('reject', 'allow', 'local'),
});

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 24,
    arbitrary: fc.tuple(either, keys, options).map(
      (args): Step =>
        (world) =>
          world.acquire(...args),
    ),
  },
  {
    weight: 8,
    arbitrary: index.map(
      (i): Step =>
        (world) =>
          oneOf(world.permits, i)?.release(),
    ),
  },
  {
    weight: 2,
    arbitrary: index.map(
      (i): Step =>
        (world) =>
          oneOf(world.aborts, i)?.abort(),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(either, index).map(([p, i]): Step => async ({ permits, services }) => {
      const permit = oneOf(permits, i);
      if (permit) await services[p]?.forceRelease(permit.key, permit.id).catch(() => false);
    }),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Fault>('none', 'deaf', 'mute').map((fault): Step => ({ store }) => {
      store.fault = fault;
    }),
  },
  { weight: 2, arbitrary: fc.constant<Step>(({ store }) => store.goAway()) },
  { weight: 2, arbitrary: fc.constant<Step>(({ store }) => store.comeBack()) },
  {
    weight: 1,
    arbitrary: either.map(
      (p): Step =>
        ({ services }) =>
          services[p]?.beginClose(),
    ),
  },
);

const turns = fc.array(fc.tuple(fc.array(steps, { maxLength: 6 }), fc.nat(120)), {
  maxLength: 25,
  size: 'max',
});

/** What was measured so far. */
async function totals() {
  const samples = await telemetry.scrape();
  const sum = (metric: string, isLost?: boolean): number =>
    samples
      .filter((sample) => sample.metric === metric && sample.labels['semaphore_name'] === NAME)
      .filter(({ labels }) => isLost === undefined || isLost === 'semaphore_reason' in labels)
      .reduce((total, { value }) => total + value, 0);
  return {
    held: sum('semaphore_permits_held'),
    waiters: sum('semaphore_waiters'),
    acquired: sum('semaphore_acquired_total'),
    rejected: sum('semaphore_rejected_total'),
    lost: sum('semaphore_lost_total'),
    waits: sum('semaphore_wait_duration_count'),
    holds: sum('semaphore_hold_duration_count'),
    released: sum('semaphore_hold_duration_count', false),
  };
}

it('adds up, whatever becomes of the acquisitions', async () => {
  const expected = { held: 0, waiters: 0, acquired: 0, rejected: 0, waits: 0, holds: 0 };
  let degraded = 0;
  await fc.assert(
    fc.asyncProperty(turns, async (turnsOfRun) => {
      const world = new World();
      for (const [stepsOfTurn, ms] of turnsOfRun) {
        await Promise.all(stepsOfTurn.map((step) => step(world)));
        await world.clock.advance(ms);
      }
      await world.end();

      expected.acquired += world.permits.length;
      expected.rejected += world.asked - world.permits.length;
      expected.waits += world.asked;
      expected.holds += world.permits.length;
      degraded += world.permits.filter((permit) => permit.degraded).length;
      const measured = await totals();
      expect(measured).toMatchObject(expected);
      expect(measured.acquired).toBe(measured.released + measured.lost);
    }),
    { numRuns: process.env['SEMAPHORE_LONG'] === undefined ? 150 : 3_000, endOnFailure: true },
  );
  const { acquired, rejected, lost } = await totals();
  for (const count of [acquired, rejected, lost, degraded]) expect(count).toBeGreaterThan(50);
}, 120_000);
