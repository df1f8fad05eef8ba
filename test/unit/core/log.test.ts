import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  InvalidOptionsError,
  type LogLevel,
  type LogOptions,
  type SemaphoreEvent,
  SemaphoreService,
} from 'nestjs-semaphore';
import { ScriptedStore } from './scripted-store.js';

const written = { log: jest.fn(), warn: jest.fn(), error: jest.fn() };
let store: ScriptedStore;

beforeEach(() => {
  for (const severity of ['log', 'warn', 'error'] as const) {
    written[severity].mockReset();
    jest.spyOn(Logger.prototype, severity).mockImplementation(written[severity]);
  }
  store = new ScriptedStore();
});

afterEach(() => {
  jest.restoreAllMocks();
});

const service = (log: LogLevel | LogOptions) => new SemaphoreService({ store, log });

/** A permit that is lost, another one that is released, and a store that goes away. */
async function happen(semaphores: SemaphoreService): Promise<void> {
  const lost = await store.hold(semaphores, {});
  store.client.revoked('k', lost.id);
  const permit = await store.hold(semaphores, {});
  const released = permit.release();
  (await store.take('release')).answer('released');
  await released;
  store.client.down(new Error('gone'));
}

function lines(): string[] {
  return Object.values(written).flatMap(({ mock }) => mock.calls.map(([line]) => String(line)));
}

describe('the log', () => {
  test('shows the kinds of events that are switched on, beside those of its level', async () => {
    await happen(service({ events: { acquired: true, lost: false } }));
    expect(lines()).toEqual([
      expect.stringContaining('acquired'),
      expect.stringContaining('acquired'),
      expect.stringContaining('cannot be reached'),
    ]);
  });

  test("shows nothing but those with the level 'none'", async () => {
    await happen(service({ level: 'none', events: { lost: true } }));
    expect(lines()).toEqual([expect.stringContaining('released by force')]);
  });

  test("leaves out those that are switched off with the level 'all'", async () => {
    await happen(service({ level: 'all', events: { acquired: false } }));
    expect(lines()).toEqual([
      expect.stringContaining('released after'),
      expect.stringContaining('was lost'),
      expect.stringContaining('cannot be reached'),
    ]);
  });

  test('goes to the sink instead of the logger, as event and as text', async () => {
    const seen: [SemaphoreEvent['type'], string][] = [];
    const sink = (event: SemaphoreEvent, message: string) => seen.push([event.type, message]);
    await happen(service({ level: 'all', sink }));
    expect(seen).toEqual([
      ['acquired', expect.stringMatching(/^Permit \S+ of semaphore "k" acquired after/)],
      ['lost', expect.any(String)],
      ['acquired', expect.any(String)],
      ['released', expect.any(String)],
      ['store-down', expect.stringContaining('gone')],
    ]);
    expect(lines()).toEqual([]);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('sink');
      },
    ],
    ['rejects', () => Promise.reject(new Error('sink'))],
  ])('is told once of a sink that %s, which harms nothing', async (_how, sink) => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const semaphores = service({ level: 'all', sink });
    const seen: string[] = [];
    semaphores.events.subscribe(({ type }) => seen.push(type));
    await happen(semaphores);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', unhandled);
    expect(seen).toEqual(['acquired', 'lost', 'acquired', 'released', 'store-down']);
    expect(lines()).toEqual(['The sink of the semaphore log threw an error']);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test('tells once a minute of a limit that callers change back and forth', async () => {
    const seen: string[] = [];
    const semaphores = service({ sink: (_event, message) => seen.push(message) });
    const events: string[] = [];
    semaphores.events.subscribe(({ type }) => events.push(type));
    const change = (permits: number, previous: number, key = 'k'): void =>
      store.client.permitsChanged({ key, permits, previous, pinned: false });
    const both = (): void => {
      change(5, 3);
      change(3, 5);
    };
    both();
    both();
    expect(seen).toHaveLength(2);
    change(4, 3);
    change(5, 3, 'other');
    expect(seen).toHaveLength(4);
    await store.clock.advance(60_000);
    both();
    expect(seen).toHaveLength(6);
    semaphores.setLog({ level: 'all', sink: (_event, message) => seen.push(message) });
    both();
    expect(seen).toHaveLength(8);
    expect(events).toHaveLength(10);
  });

  test('can be changed while the service runs', async () => {
    const semaphores = service('none');
    await store.hold(semaphores, {});
    const seen: string[] = [];
    semaphores.setLog({ events: { acquired: true }, sink: ({ type }) => seen.push(type) });
    await happen(semaphores);
    semaphores.setLog('problems');
    await store.hold(semaphores, {});
    store.client.up();
    expect(seen).toEqual(['acquired', 'lost', 'acquired', 'store-down']);
    expect(lines()).toEqual([expect.stringContaining('can be reached again')]);
  });

  test('does not follow an object that is changed afterwards', async () => {
    const events = { acquired: false };
    const semaphores = service({ level: 'none', events });
    events.acquired = true;
    await store.hold(semaphores, {});
    expect(lines()).toEqual([]);
  });

  test.each([
    ['log', 'loud'],
    ['log', ['all']],
    ['level', { level: 'loud' }],
    ['events', { events: 'all' }],
    ['acquird', { events: { acquird: true } }],
    ['lost', { events: { lost: 1 } }],
    ['sink', { sink: console }],
    ['colour', { colour: true }],
  ])('refuses a wrong %s: %j', (option, log) => {
    const given = log as LogLevel;
    expect(() => service(given)).toThrow(InvalidOptionsError);
    const semaphores = service('none');
    expect(() => semaphores.setLog(given)).toThrow(`Expected \`${option}\` to be`);
  });

  test('keeps to one line an event, whatever a key contains', async () => {
    const semaphores = new SemaphoreService({ log: 'all' });
    await using permit = await semaphores.acquire('k\n[Nest] ERROR forged "line"');
    expect(permit.isHeld).toBe(true);
    expect(lines()).toEqual([
      expect.stringContaining(' of semaphore "k\\n[Nest] ERROR forged \\"line\\"" acquired after '),
    ]);
  });

  test('shows signs of a key that steer a terminal, or hide, by their codes', async () => {
    const semaphores = new SemaphoreService({ log: 'all' });
    await using permit = await semaphores.acquire('\x9b31m \u202egnp.exe\u2028\u{e0041}');
    expect(permit.isHeld).toBe(true);
    expect(lines()).toEqual([
      expect.stringContaining('"\\u009b31m \\u202egnp.exe\\u2028\\udb40\\udc41" acquired after '),
    ]);
  });
});
