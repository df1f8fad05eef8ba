import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { KnownKeys, MAX_KEYS } from '../../../lib/dashboard/collector/known-keys.js';
import { Listing } from '../../../lib/dashboard/collector/listing.js';
import { OutageNote } from '../../../lib/dashboard/collector/outage-note.js';
import type { SemaphoreService } from '../../../lib/semaphore.service.js';

/** A list that ends, or fails, when it is told to. */
function endless(...first: string[]) {
  let end!: () => void;
  let fail!: (error: Error) => void;
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  async function* list(): AsyncGenerator<string> {
    yield* first;
    await ended;
  }
  return { list, end, fail };
}

async function* all(...keys: string[]): AsyncGenerator<string> {
  yield* keys;
}

describe('the listing of keys', () => {
  let now: number;
  let list: () => AsyncGenerator<string>;
  let listed: number;
  let keys: KnownKeys;
  let note: OutageNote;
  let listing: Listing;

  beforeEach(() => {
    now = 1_000_000;
    jest.spyOn(performance, 'now').mockImplementation(() => now);
    list = () => all('b', 'a');
    listed = 0;
    const service = {
      list: () => {
        listed++;
        return list();
      },
    } as unknown as SemaphoreService;
    keys = new KnownKeys(service, () => undefined);
    note = new OutageNote();
    listing = new Listing(keys, note);
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  const names = (): string[] => keys.all.map(({ key }) => key);

  /** Lets a listing that is under way come to its end. */
  const settled = (): Promise<void> => setImmediate();

  test('shows at once what the first one has found so far', async () => {
    const { list: slow, end } = endless('b', 'a');
    list = slow;
    await listing.keepFresh();
    expect([names(), keys.areComplete]).toEqual([['a', 'b'], false]);
    end();
    await settled();
    expect([names(), keys.areComplete]).toEqual([['a', 'b'], true]);
  });

  test('keeps what is known of a key, and forgets keys that are gone', async () => {
    await keys.list();
    const [known] = keys.all;
    list = () => all('c', 'a');
    await keys.list();
    expect(names()).toEqual(['a', 'c']);
    expect(keys.all[0]).toBe(known);
  });

  test('is cut when there are too many, for as long as there are', async () => {
    list = () => all(...Array.from({ length: MAX_KEYS + 1 }, (_, i) => `k${i}`));
    await keys.list();
    expect([keys.areCut, keys.all.length]).toEqual([true, MAX_KEYS]);
    list = () => all(...Array.from({ length: MAX_KEYS }, (_, i) => `k${i}`));
    await keys.list();
    expect([keys.areCut, keys.all.length]).toEqual([false, MAX_KEYS]);
  });

  test('is done once at a time', async () => {
    list = endless().list;
    await Promise.all([listing.keepFresh(), listing.keepFresh()]);
    await listing.keepFresh();
    expect(listed).toBe(1);
  });

  test('is not waited for while there is a recent one to show', async () => {
    await listing.keepFresh();
    now += 3_000;
    list = endless().list;
    const fresh = listing.keepFresh().then(() => 'at once');
    expect(await Promise.race([fresh, settled()])).toBe('at once');
    expect(listed).toBe(2);
  });

  test.each([
    ['at least 2 seconds', 0, 2_000],
    ['nine times as long as it took', 1_000, 9_000],
    ['at most a minute', 100_000, 60_000],
  ])('comes again after %s', async (_, tookMs, pauseMs) => {
    const { list: slow, end } = endless();
    list = slow;
    await listing.keepFresh();
    now += tookMs;
    end();
    await settled();
    now += pauseMs - 1;
    await listing.keepFresh();
    expect(listed).toBe(1);
    now += 1;
    await listing.keepFresh();
    expect(listed).toBe(2);
  });

  test('is tried again soon after it has failed, however long that took', async () => {
    const { list: slow, fail } = endless();
    list = slow;
    await listing.keepFresh();
    now += 5_000;
    fail(new Error('away'));
    await settled();
    await expect(listing.keepFresh()).rejects.toThrow('away');
    expect(listed).toBe(1);
    now += 2_000;
    const { list: better, end } = endless('a');
    list = better;
    await expect(listing.keepFresh()).rejects.toThrow('away');
    now += 1_000;
    end();
    await settled();
    now += 8_999;
    await listing.keepFresh();
    expect([listed, names()]).toEqual([2, ['a']]);
  });

  test('that has come to its end shows that the store answers', async () => {
    note.failed(new Error('away'));
    await listing.keepFresh();
    expect(note.outage).toBeNull();
  });
});

test('an outage is told with its beginning, whatever fails after it', () => {
  const note = new OutageNote();
  const clock = jest.spyOn(Date, 'now').mockReturnValue(1_000);
  note.failed(new Error('first'));
  clock.mockReturnValue(2_000);
  note.failed(new Error('second'));
  expect(note.outage).toEqual({ since: 1_000, message: 'first' });
  clock.mockRestore();
});
