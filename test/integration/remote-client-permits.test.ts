import { describe, expect, test } from '@jest/globals';
import type { WireCall, WireResult } from '../../lib/store/remote/wire.js';
import {
  grant,
  nothing,
  Remote,
  request,
  ScriptedServer,
  until,
  waits,
} from '../support/scripted-server.js';
import { rejection } from '../support/semaphores.js';

const granted = (leaseMs?: number | null): WireResult => ({
  value: { status: 'granted', grant: grant(0, leaseMs) },
});

/** What was asked for of permits, with their ids. */
const asked = ({ calls }: ScriptedServer): string[] =>
  calls.map((call) => `${call.op} ${'id' in call ? call.id : ''}`);

/** Grants what is said here, lets all others wait, and does whatever else it is asked for. */
function answering(server: ScriptedServer, acquires: Record<string, WireResult>): void {
  const answer = (call: WireCall): WireResult => {
    if (call.op === 'acquire') return acquires[call.id] ?? waits;
    if (call.op !== 'renew') return nothing;
    const end = call.leaseMs && server.now + call.leaseMs;
    return { value: { expiresAt: end, deadline: end } };
  };
  server.answer = (calls) => calls.map(answer);
}

describe('what a client waits for and holds', () => {
  test('is asked for again when it reconnects, and not what is over', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    const { session } = remote;
    answering(server, {
      held: granted(),
      endless: granted(null),
      lapsed: granted(1),
      no: granted(),
    });
    const ids = [
      'held',
      'endless',
      'lapsed',
      'no',
      'first',
      'second',
      'granted',
      'failed',
      'revoked',
    ];
    for (const id of [...ids, 'released', 'cancelled']) await session.acquire(request(id));
    await session.release('k', 'released', 0);
    await session.release('k', 'no', 0);
    await session.cancel('k', 'cancelled');
    server.tell('granted', { key: 'k', id: 'granted', grant: grant(0) });
    server.tell('failed', { key: 'k', id: 'failed', message: 'm' });
    server.tell('revoked', { key: 'k', id: 'revoked' });
    await until(() => remote.told.length === 3);
    await remote.clock.advance(10);
    await server.askedAgain();
    const renewals = ['renew held', 'renew endless', 'renew granted'];
    expect(asked(server)).toEqual([...renewals, 'acquire first', 'acquire second']);
    expect(server.calls[0]).toMatchObject({ leaseMs: 60_000 - 10 });
    expect(server.calls[1]).toMatchObject({ leaseMs: null });
    // Its old place, however long the queue is by now.
    expect(server.calls[3]).toMatchObject({ leaseMs: 60_000, maxWaiting: null });
  });

  test('is told as a new server has it', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    const { session } = remote;
    answering(server, { held: granted() });
    for (const id of ['held', 'got', 'refused']) await session.acquire(request(id));
    const error = { code: 'BUSY', message: 'm', nothingDone: true };
    const answers: Record<string, WireResult> = { got: granted(), refused: { error } };
    server.answer = (calls) => calls.map((call) => answers['id' in call ? call.id : ''] ?? nothing);
    server.endStream();
    await until(() => remote.told.length === 5);
    expect(remote.told.slice(0, 4)).toEqual([
      'down',
      'revoked held expired',
      'granted got',
      expect.stringMatching(/^failed refused .*not available/),
    ]);
    answering(server, {});
    await server.askedAgain();
    expect(asked(server)).toEqual(['renew got']);
  });

  test('is held, whichever comes first, the grant or the answer that it has to wait', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    server.answer = (calls, response) => {
      server.tell('granted', { key: 'k', id: 'a', grant: grant(0) });
      void until(() => remote.told.length > 0).then(() =>
        response.end(JSON.stringify({ server: 'one', now: 0, results: calls.map(() => waits) })),
      );
      return undefined;
    };
    expect(await remote.session.acquire(request('a'))).toEqual({ status: 'waiting' });
    answering(server, {});
    await server.askedAgain();
    expect(asked(server)).toEqual(['renew a']);
  });

  test('is renewed for the longer time while it is not known which of the two it has', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    answering(server, { a: granted() });
    await remote.session.acquire(request('a'));
    const { answer } = server;
    server.answer = () => {
      server.answer = answer;
      server.endStream();
      return undefined;
    };
    server.calls.length = 0;
    await remote.session.renew('k', 'a', 120_000);
    const renewal = { op: 'renew', id: 'a', leaseMs: 120_000 };
    expect(server.calls).toMatchObject([renewal, renewal, renewal]);
  });

  test('is nothing where the key may not be used', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    server.answer = () => [{ error: { code: 'FORBIDDEN_KEY', message: 'm', nothingDone: true } }];
    const forbidden = { code: 'SEMAPHORE_INVALID_OPTIONS', option: 'key' };
    expect(await rejection(remote.session.acquire(request('a')))).toMatchObject(forbidden);
    await remote.session.cancel('k', 'a');
  });

  test.each(['cancel', 'release'] as const)(
    'is not asked for again once its %s is under way, nor when its grant comes late',
    async (how) => {
      await using server = await ScriptedServer.start();
      await using remote = new Remote([server]);
      answering(server, how === 'release' ? { a: granted() } : {});
      await remote.session.acquire(request('a'));
      const { answer } = server;
      server.answer = () => undefined;
      const over =
        how === 'cancel' ? remote.session.cancel('k', 'a') : remote.session.release('k', 'a', 0);
      await until(() => asked(server).includes(`${how} a`));
      await server.askedAgain();
      expect(asked(server)).toEqual([`${how} a`]);
      server.tell('granted', { key: 'k', id: 'a', grant: grant(0) });
      await until(() => remote.told.includes('granted a'));
      server.calls.length = 0;
      server.answer = answer;
      server.endStream();
      await over;
      server.calls.length = 0;
      server.endStream();
      await server.opened(4);
      await remote.session.setPermits('k', 1);
      expect(asked(server)).toEqual(['setPermits ']);
    },
  );

  test('is lost when no server is heard for the grace time, but for what never ends by itself', async () => {
    await using server = await ScriptedServer.start();
    server.hello = { ...server.hello, graceMs: 6000 };
    await using remote = new Remote([server], { storeTimeoutMs: 60_000 });
    answering(server, { a: granted(), endless: granted(null), given: granted() });
    for (const id of ['a', 'endless', 'given']) await remote.session.acquire(request(id));
    const { answer } = server;
    server.answer = () => undefined;
    const lost = (): string[] => remote.told.filter((each) => each.startsWith('revoked'));
    await remote.clock.advance(4999);
    // A sign of life has not come in time.
    expect([remote.told[0], lost()]).toEqual(['down', []]);
    await remote.clock.advance(1);
    expect(lost()).toEqual(['revoked a expired', 'revoked given expired']);
    server.answer = answer;
    server.endStream();
    await server.opened(2);
    await until(() => asked(server).includes('cancel given'));
    await server.askedAgain();
    // What was given up is cancelled once.
    expect(asked(server)).toEqual(['renew endless']);
  });

  test('is believed as long as the server answers, which it is asked to do only when there is something', async () => {
    await using server = await ScriptedServer.start();
    server.hello = { ...server.hello, graceMs: 6000 };
    await using remote = new Remote([server]);
    answering(server, { a: granted(), b: granted() });
    await remote.session.setPermits('k', 1);
    await remote.clock.advance(6000);
    const silent = server.asked.length;
    await remote.session.acquire(request('a'));
    for (let i = 1; i <= 20; i++) {
      await remote.clock.advance(1000);
      await until(() => server.asked.length === silent + 1 + i);
    }
    expect(silent).toBe(2);
    expect(remote.told).toEqual([]);
    await remote.session.release('k', 'a', 0);
    const before = server.asked.length;
    await remote.clock.advance(6000);
    expect(server.asked.length).toBe(before);
  });

  test('is not believed because of what a server said that the client has left', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    answering(server, { a: granted() });
    server.now = 1000;
    const { answer } = server;
    server.answer = (calls, response) => {
      const results = answer(calls, response);
      response.end(JSON.stringify({ server: 'another', now: 999_000, results }));
      return undefined;
    };
    await remote.session.acquire(request('a'));
    server.tell('granted', { key: 'k', id: 'b', grant: grant(1000) });
    await until(() => remote.told.length === 1);
    expect(remote.deadlines).toEqual([60_000]);
  });

  test('has its leases made long again once the server before cannot shorten them any more', async () => {
    await using server = await ScriptedServer.start();
    await using second = await ScriptedServer.start();
    second.hello = { ...second.hello, server: 'two' };
    await using remote = new Remote([server, second]);
    answering(server, { a: granted(600_000) });
    answering(second, {});
    await remote.session.acquire(request('a'));
    server.takes = (_request, response) => Boolean(response.destroy());
    server.endStream();
    await until(() => second.calls.length === 1);
    await remote.clock.advance(30_100);
    await until(() => second.calls.length === 2);
    expect(asked(second)).toEqual(['renew a', 'renew a']);
    // One that fails is left to the next reconnection.
    server.answer = () => [{ error: { code: 'BUSY', message: 'm', nothingDone: true } }];
    const faults: unknown[] = [];
    const note = (fault: unknown): number => faults.push(fault);
    process.on('unhandledRejection', note);
    server.takes = () => false;
    second.endStream();
    await until(() => remote.told.filter((each) => each === 'up').length === 2);
    server.calls.length = 0;
    await remote.clock.advance(30_100);
    await until(() => server.calls.length === 1);
    await remote.session.health(1000);
    process.off('unhandledRejection', note);
    expect(faults).toEqual([]);
  });
});

describe('a client that is closed', () => {
  test('does nothing more', async () => {
    await using server = await ScriptedServer.start();
    const remote = new Remote([server]);
    await remote.session.setPermits('k', 1);
    answering(server, {});
    await remote.session.acquire(request('queued'));
    server.answer = () => undefined;
    server.endStream();
    await until(() => asked(server).length === 3);
    const waiting = rejection(remote.session.acquire(request('a')));
    await remote.session.close();
    const closed = { code: 'SEMAPHORE_CLOSED' };
    expect(await waiting).toMatchObject(closed);
    expect(await rejection(remote.session.list('*').next())).toMatchObject(closed);
    expect(await rejection(remote.session.health(1))).toMatchObject(closed);
    expect(remote.told.filter((each) => !each.startsWith('failed'))).toEqual(['down']);
    await until(() => remote.clock.pendingTimers === 0);
  });
});

test('a server whose store is away is no longer one when another stream of it says nothing of that', async () => {
  await using server = await ScriptedServer.start();
  await using remote = new Remote([server]);
  await server.opened();
  server.tell('down', { message: 'gone' });
  await until(() => remote.told.length === 1);
  server.endStream();
  await until(() => remote.told.length === 2);
  expect(remote.told).toEqual(['down', 'up']);
  server.answer = () => undefined;
  const health = remote.session.health(100);
  await remote.clock.advance(100);
  const message = 'the server did not answer within 100 ms';
  expect(await health).toMatchObject({ error: { message }, isListening: true });
});

describe('a list of keys', () => {
  /** What the server answers to the list of a pattern; without an end it goes on. */
  async function listing(text: string, isEnded = true) {
    const server = await ScriptedServer.start();
    const list = { query: '', isClosed: false, server };
    server.takes = ({ url = '' }, response) => {
      const [path, query = ''] = url.split('?');
      if (path !== '/v1/store/keys') return false;
      list.query = query;
      response.once('close', () => (list.isClosed = true));
      response.write(text);
      if (isEnded) response.end();
      return true;
    };
    return list;
  }

  test('is that of the pattern, and ends with its last line', async () => {
    const list = await listing('"a"\n"b"\ntrue\n');
    await using remote = new Remote([list.server]);
    const keys: string[] = [];
    for await (const key of remote.session.list('a&b=*#%')) keys.push(key);
    expect(keys).toEqual(['a', 'b']);
    expect(new URLSearchParams(list.query).get('pattern')).toBe('a&b=*#%');
    await list.server[Symbol.asyncDispose]();
  });

  test('is none when it breaks off, or nothing more comes', async () => {
    for (const isEnded of [true, false]) {
      const list = await listing('"a"\n', isEnded);
      await using remote = new Remote([list.server]);
      await list.server.opened();
      const keys = remote.session.list('*');
      expect(await keys.next()).toEqual({ done: false, value: 'a' });
      const timers = remote.clock.pendingTimers;
      const failed = rejection(keys.next());
      await remote.clock.advance(isEnded ? 0 : 5000);
      expect(String(await failed)).toContain(isEnded ? 'broke off' : 'said nothing for 5000 ms');
      expect(remote.clock.pendingTimers).toBe(timers);
      await list.server[Symbol.asyncDispose]();
    }
  });

  test('is none when its connection breaks', async () => {
    const list = await listing('"a"\n', false);
    await using remote = new Remote([list.server]);
    const keys = remote.session.list('*');
    await keys.next();
    const failed = rejection(keys.next());
    await list.server[Symbol.asyncDispose]();
    expect(await failed).toMatchObject({ code: 'SEMAPHORE_STORE_UNAVAILABLE', nothingDone: true });
  });

  test('is none when the server says nothing', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    await server.opened();
    let isAsked = false;
    server.takes = ({ url = '' }) => url.startsWith('/v1/store/keys') && (isAsked = true);
    const failed = rejection(remote.session.list('*').next());
    await until(() => isAsked);
    await remote.clock.advance(5000);
    expect(String(await failed)).toContain('the server did not answer within 5000 ms');
  });

  test('is not read further than its reader wants', async () => {
    const list = await listing('"a"\n"b"\n', false);
    await using remote = new Remote([list.server]);
    for await (const _ of remote.session.list('*')) break;
    await until(() => list.isClosed);
    await list.server[Symbol.asyncDispose]();
  });
});
