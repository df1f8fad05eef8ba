import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { SemaphoreService } from 'nestjs-semaphore';
import { Collector } from '../../../lib/dashboard/collector/collector.js';
import type { Frame } from '../../../lib/dashboard/collector/frame.js';
import { overviewOf, type View } from '../../../lib/dashboard/collector/view.js';
import { internalsOf } from '../../../lib/service-internals.js';

const PERIOD_MS = 1_000;

const of = (key: string): View => ({ type: 'semaphore', key });
const overview = (query = ''): View => overviewOf(new URLSearchParams(query));

/** Time stands still but for what a test adds to it. */
describe('the rounds of the collector', () => {
  let now: number;
  let service: SemaphoreService;
  let collector: Collector;
  /** The keys that the store was asked about. */
  let asked: string[];
  let answer: () => Promise<void>;

  beforeEach(() => {
    now = 1_000_000;
    jest.spyOn(performance, 'now').mockImplementation(() => now);
    service = new SemaphoreService({ log: 'none' });
    collector = new Collector(service);
    asked = [];
    answer = () => Promise.resolve();
    const internals = internalsOf(service);
    const look = internals.look.bind(internals);
    internals.look = async (key) => {
      asked.push(key);
      await answer();
      return look(key);
    };
  });

  afterEach(async () => {
    collector.close();
    await service.close();
    jest.restoreAllMocks();
  });

  /** Watches, and resolves when the first frame was told. */
  async function watch(view: View): Promise<{ stop: () => void; frames: Frame[] }> {
    const frames: Frame[] = [];
    let stop!: () => void;
    await new Promise<void>((resolve) => {
      stop = collector.watch(view, (frame) => {
        frames.push(frame);
        resolve();
      });
    });
    await setImmediate();
    return { stop, frames };
  }

  /** The store does not answer until the returned function is called. */
  function holdAnswers(): () => void {
    let go!: () => void;
    const gone = new Promise<void>((resolve) => (go = resolve));
    answer = () => gone;
    return go;
  }

  test('who has left before their turn is not asked for', async () => {
    const go = holdAnswers();
    const first = watch(of('first'));
    await setImmediate();
    const leave = collector.watch(of('second'), () => undefined);
    const third = watch(of('third'));
    leave();
    go();
    for (const { stop } of [await first, await third]) stop();
    expect(asked).toEqual(['first', 'third']);
  });

  test('are over when the last one has left', async () => {
    const setTimeout = jest.spyOn(globalThis, 'setTimeout');
    await new Promise<void>((resolve) => {
      const stop = collector.watch(of('k'), () => {
        stop();
        resolve();
      });
    });
    await setImmediate();
    expect(setTimeout.mock.calls.filter(([, ms]) => ms === PERIOD_MS)).toEqual([]);
  });

  test('leave a store alone for half a second that takes long to answer', async () => {
    const setTimeout = jest.spyOn(globalThis, 'setTimeout');
    answer = async () => void (now += 3 * PERIOD_MS);
    const { stop } = await watch(of('k'));
    expect(setTimeout.mock.calls.at(-1)?.[1]).toBe(PERIOD_MS / 2);
    stop();
  });

  test('each end what would tell of a store that does not answer', async () => {
    const setInterval = jest.spyOn(globalThis, 'setInterval');
    const clearInterval = jest.spyOn(globalThis, 'clearInterval');
    const { stop } = await watch(of('k'));
    stop();
    expect(setInterval).toHaveBeenCalledTimes(1);
    expect(clearInterval.mock.calls).toEqual([[setInterval.mock.results[0]?.value]]);
  });

  test('look at all keys in turn, and then again', async () => {
    for (let i = 0; i < 300; i++) await service.acquire(`k${i + 100}`);
    const first = await watch(overview('limit=0'));
    const looks = [asked.length];
    for (let i = 0; i < 2; i++) {
      now += PERIOD_MS;
      const { stop } = await watch(overview('limit=0'));
      stop();
      looks.push(asked.length);
    }
    first.stop();
    expect(looks).toEqual([250, 300, 550]);
    expect(new Set(asked).size).toBe(300);
  });

  test('do not look at a key again while they look at it', async () => {
    await service.acquire('k');
    const go = holdAnswers();
    const reads = [collector.read(overview()), collector.read(overview())];
    await setImmediate();
    go();
    await Promise.all(reads);
    expect(asked).toEqual(['k']);
  });

  test('look at a key the seldomer, the more hold it and wait for it', async () => {
    for (let i = 0; i < 2_000; i++) await service.acquire('k', { permits: 2_000 });
    const read = async (): Promise<number> => {
      await collector.read(overview());
      return asked.length;
    };
    expect(await read()).toBe(1);
    now += 2_499;
    expect(await read()).toBe(1);
    now += 1;
    expect(await read()).toBe(2);

    asked = [];
    const first = await watch(of('k'));
    now += 499;
    const second = await watch(of('k'));
    expect(asked).toEqual(['k']);
    now += 1;
    const third = await watch(of('k'));
    expect(asked).toEqual(['k', 'k']);
    for (const { stop } of [first, second, third]) stop();
  });

  test('keep nothing of a semaphore that nobody watches any more', async () => {
    await service.acquire('k');
    expect((await collector.read(of('k'))).semaphore?.held).toBe(1);
    answer = () => Promise.reject(new Error('away'));
    const { semaphore, storeDown } = await collector.read(of('k'));
    expect([semaphore, storeDown?.message]).toEqual([undefined, 'away']);
  });

  test('take a store for one that answers only after it has', async () => {
    service.list = async function* () {
      await new Promise(() => undefined);
      yield 'never';
    };
    internalsOf(service).core.down(new Error('away'));
    expect((await collector.read(overview())).storeDown?.message).toBe('away');
  });

  test.each(['in a round', 'between two'])(
    'work out once what equal views show, %s',
    async (when) => {
      const { stop } = await watch(of('other'));
      if (when === 'in a round') now += PERIOD_MS;
      const watched = await Promise.all([watch(of('k')), watch(of('k'))]);
      const [one, two] = watched.map(({ frames }) => frames[0]);
      expect(two).toBe(one);
      for (const { stop: leave } of [{ stop }, ...watched]) leave();
    },
  );

  test('are for nobody once it is closed, and nothing is counted any more', async () => {
    await watch(of('first'));
    const go = holdAnswers();
    let told = 0;
    collector.watch(of('newcomer'), () => told++);
    await setImmediate();
    collector.close();
    go();
    await setImmediate();
    await service.acquire('k');
    const { semaphore } = await collector.read(of('k'));
    expect([asked, told]).toEqual([['first', 'newcomer', 'k'], 0]);
    expect(semaphore?.timeline.total.acquired).toBe(0);
  });
});
