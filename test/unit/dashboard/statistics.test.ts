import { describe, expect, test } from '@jest/globals';
import { Durations } from '../../../lib/dashboard/statistics/durations.js';
import { Statistics } from '../../../lib/dashboard/statistics/statistics.js';

const NOON = Date.UTC(2026, 0, 1, 12);
const MINUTE = 60_000;

describe('durations', () => {
  test('quantiles are right to 10 % over six orders of magnitude', () => {
    for (const scale of [1, 10, 1_000, 1_000_000]) {
      const durations = new Durations();
      for (let i = 1_000; i >= 1; i--) durations.add(i * scale);
      const [p50, p95, p99] = durations.quantiles([0.5, 0.95, 0.99]) as number[];
      expect(Math.abs((p50 as number) / (500 * scale) - 1)).toBeLessThan(0.1);
      expect(Math.abs((p95 as number) / (950 * scale) - 1)).toBeLessThan(0.1);
      expect(Math.abs((p99 as number) / (990 * scale) - 1)).toBeLessThan(0.1);
    }
  });

  test('one long wait among a hundred short ones is the p99, not the p95', () => {
    const durations = new Durations();
    for (let i = 0; i < 98; i++) durations.add(0);
    durations.add(60_000);
    durations.add(60_000);
    const [p95, p99] = durations.quantiles([0.95, 0.99]) as [number, number];
    expect(p95).toBe(0);
    expect(p99).toBeGreaterThan(54_000);
  });

  test('of nothing there are none', () => {
    expect(new Durations().quantiles([0.5])).toEqual([null]);
  });
});

describe('statistics', () => {
  test('count by key, and forget after five minutes what is not recent any more', () => {
    const statistics = new Statistics();
    statistics.rejected('a', 'busy', NOON);
    statistics.rejected('a', 'timeout', NOON + 4 * MINUTE);
    statistics.ended('a', 5, true, NOON + 4 * MINUTE);
    statistics.rejected('b', 'busy', NOON + 4 * MINUTE);
    expect(statistics.recent('a', NOON + 4 * MINUTE)).toEqual({ rejected: 2, lost: 1 });
    expect(statistics.recentOfAll(NOON + 4 * MINUTE)).toEqual({ rejected: 3, lost: 1 });
    const reasons = { busy: 1, timeout: 1 };
    expect(statistics.timeline('a', NOON + 4 * MINUTE).total).toMatchObject({
      rejected: 2,
      reasons,
    });
    expect(statistics.timeline('a', NOON + 16 * MINUTE).total.reasons).toEqual({ timeout: 1 });
    expect(statistics.recent('a', NOON + 6 * MINUTE)).toEqual({ rejected: 1, lost: 1 });
    expect(statistics.recent('a', NOON + 20 * MINUTE)).toEqual({ rejected: 0, lost: 0 });
    expect(statistics.recent('unknown', NOON)).toEqual({ rejected: 0, lost: 0 });
  });

  test('recent are twenty intervals of 15 seconds, of which the last one still grows', () => {
    const statistics = new Statistics();
    const at = (interval: number): number => NOON + interval * 15_000;
    for (let i = 0; i < 20; i++) statistics.rejected('a', 'busy', at(i));
    for (const [now, rejected] of [
      [at(20) - 1, 20],
      [at(20), 19],
    ] as const) {
      expect(statistics.recent('a', now)).toEqual({ rejected, lost: 0 });
      expect(statistics.recentOfAll(now)).toEqual({ rejected, lost: 0 });
    }
  });

  test('callers that gave up by themselves were not rejected', () => {
    const statistics = new Statistics();
    statistics.rejected('a', 'aborted', NOON);
    statistics.rejected('a', 'closed', NOON);
    expect(statistics.recent('a', NOON)).toEqual({ rejected: 0, lost: 0 });
  });

  test('the time line has each event in its interval', () => {
    const statistics = new Statistics();
    statistics.acquired('a', 100, NOON);
    statistics.ended('a', 1_000, false, NOON + 1_000);
    statistics.acquired('a', 200, NOON + MINUTE);
    const { from, intervalMs, ...timeline } = statistics.timeline('a', NOON + MINUTE);
    const first = (NOON - from) / intervalMs;
    const last = timeline.acquired.length - 1;
    expect(last - first).toBe(MINUTE / intervalMs);
    expect(timeline.acquired[first]).toBe(1);
    expect(timeline.acquired[last]).toBe(1);
    expect(timeline.wait[first]?.[0]).toBeCloseTo(100, -1.2);
    expect(timeline.hold[last]).toEqual([null, null, null]);
    expect(timeline.total).toMatchObject({ acquired: 2, rejected: 0, lost: 0 });
    expect(timeline.total.wait[0]).toBeCloseTo(100, -1.2);
    expect(timeline.total.wait[2]).toBeCloseTo(200, -1.5);
  });

  test('a wall clock that is set back loses nothing', () => {
    const statistics = new Statistics();
    statistics.acquired('a', 0, NOON);
    statistics.acquired('a', 0, NOON - 60 * MINUTE);
    expect(statistics.timeline('a', NOON).total.acquired).toBe(2);
  });

  test('memory is bounded: of too many keys the oldest are forgotten, not their sum', () => {
    const statistics = new Statistics();
    for (let i = 0; i < 25_000; i++) statistics.rejected(`k${i}`, 'busy', NOON);
    expect(statistics.recentOfAll(NOON)).toEqual({ rejected: 25_000, lost: 0 });
    expect(statistics.recent('k0', NOON).rejected).toBe(0);
    expect(statistics.recent('k24999', NOON).rejected).toBe(1);
  });

  test('a key in use keeps its 15 minutes, however many others are used once', () => {
    const statistics = new Statistics();
    const intervalMs = 15_000;
    for (let i = 0; i < 60; i++) {
      const at = NOON + i * intervalMs;
      statistics.acquired('a', 0, at);
      for (let j = 0; j < 400; j++) statistics.acquired(`${i}:${j}`, 0, at);
    }
    const { acquired, from, since } = statistics.timeline('a', NOON + 59 * intervalMs);
    expect(acquired).toEqual(Array.from({ length: 60 }, () => 1));
    expect(from).toBe(NOON);
    expect(since).toBe(statistics.since);
  });

  test('the time of which something was forgotten is not shown as one without acquisitions', () => {
    const statistics = new Statistics();
    const later = Date.now() + MINUTE;
    const muchLater = later + MINUTE;
    statistics.acquired('a', 0, later);
    for (let i = 0; i < 20_000; i++) statistics.acquired(`k${i}`, 0, later);
    expect(statistics.timeline('a', later).since).toBeGreaterThan(later);
    statistics.acquired('a', 0, muchLater);
    const { since, from, intervalMs, acquired } = statistics.timeline('a', muchLater);
    expect(since).toBeGreaterThan(later);
    expect(since).toBeLessThanOrEqual(muchLater);
    expect((since - from) % intervalMs).toBe(0);
    expect(acquired.at(-1)).toBe(1);
  });

  test('of a key that lost only its first times it is shown since when they are complete', () => {
    const statistics = new Statistics();
    const first = Date.now() + MINUTE;
    const second = first + MINUTE;
    statistics.acquired('a', 0, first);
    statistics.acquired('a', 0, second);
    for (let i = 0; i < 19_999; i++) statistics.acquired(`k${i}`, 0, second);
    const { since, acquired } = statistics.timeline('a', second);
    expect(since).toBeGreaterThan(first);
    expect(since).toBeLessThanOrEqual(second);
    expect(acquired.filter((count) => count > 0)).toEqual([1]);
  });

  test('a key that is always in use takes no room of those that are used once', () => {
    const statistics = new Statistics();
    const at = (i: number): number => NOON + i * 15_000;
    // If nothing of it were forgotten, there would have been too much shortly before.
    const last = 20_000 - 40;
    for (let i = 0; i <= last; i++) {
      statistics.acquired(`once ${i}`, 0, at(i));
      statistics.acquired('always', 0, at(i));
    }
    expect(statistics.timeline(`once ${last - 59}`, at(last)).total.acquired).toBe(1);
  });
});
