import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { Remote, ScriptedServer, until } from '../support/scripted-server.js';
import { rejection } from '../support/semaphores.js';

const LONG = `v${'x'.repeat(10_000)}`;
const publication = { permitId: 'a', payload: LONG, freshMs: 1000, staleMs: 2000 };
const none = {
  state: 'none',
  payload: '',
  freshUntil: 0,
  token: 1,
  isLed: true,
  waiting: 2,
  at: 3,
};

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** Answers requests for long results, in their order, the last answer also to all that follow. */
function results(server: ScriptedServer, ...answers: Answer[]): string[] {
  const asked: string[] = [];
  server.takes = (request, response) => {
    const { url = '' } = request;
    if (!url.startsWith('/v1/store/result')) return false;
    asked.push(url);
    server.asked.push(`${request.method} result`);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    answer?.(response, request);
    return true;
  };
  return asked;
}

const json =
  (value: object): Answer =>
  (response) =>
    response.end(JSON.stringify(value));

const status =
  (code: number): Answer =>
  (response) =>
    response.writeHead(code, { connection: 'close' }).end();

const answering = (value: object): ScriptedServer['answer'] => {
  return (calls) => calls.map(() => ({ value }));
};

describe('a long result', () => {
  test('is looked at apart, as it is by then', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    server.now = 5;
    server.answer = answering({ ...none, state: 'stale', isLong: true });
    const asked = results(
      server,
      json({ ...none, state: 'fresh', payload: LONG, token: 7, at: 9 }),
    );
    const look = await remote.session.flights.look('k&', 5);
    expect(look).toEqual({ ...none, state: 'fresh', payload: LONG, token: 7 });
    await remote.session.flights.look('k');
    const queries = asked.map((url) => Object.fromEntries(new URLSearchParams(url.split('?')[1])));
    expect(queries).toEqual([{ key: 'k&', seen: '5' }, { key: 'k' }]);
  });

  test('is there before its leader gives the permit back, if it can be', async () => {
    for (const code of [200, 400]) {
      await using server = await ScriptedServer.start();
      await using remote = new Remote([server]);
      await server.opened();
      let answer: () => void = () => undefined;
      results(server, (response) => {
        answer = () => response.writeHead(code).end('{"published":true}');
      });
      const published = remote.session.flights.publish('k', publication);
      const outcome = published.catch(() => 'failed');
      const released = remote.session.release('k', 'a', 0);
      await until(() => server.asked.length === 2);
      await remote.session.setPermits('k', 1);
      answer();
      await released;
      expect(await outcome).toBe(code === 200 ? true : 'failed');
      expect(server.asked).toEqual(['open', 'POST result', 'setPermits k', 'release k']);
    }
  });

  test('that nobody on the way takes is published as what stands for it, and not kept', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    server.answer = answering([true]);
    results(server, status(413));
    const { flights } = remote.session;
    await flights.publish('k', { ...publication, substitute: 'e' });
    const times = { freshMs: 0, staleMs: 0 };
    expect(server.calls).toMatchObject([{ op: 'publish', payload: 'e', ...times }]);
    expect(String(await rejection(flights.publish('k', publication)))).toContain('answered 413');
    expect(server.calls).toHaveLength(1);
  });

  test('is sent again until its time is over, and never to a server that refuses it', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server], { storeTimeoutMs: 1000 });
    await server.opened();
    const { flights } = remote.session;
    const asked = results(server, status(503), json({ published: true }));
    const published = flights.publish('k', publication);
    await until(() => asked.length === 1 && remote.clock.pendingTimers > 2);
    await remote.clock.advance(50);
    expect([await published, asked.length]).toEqual([true, 2]);
    results(server, status(503));
    const late = rejection(flights.publish('k', publication));
    let isOver = false;
    void late.then(() => (isOver = true));
    await until(() => {
      void remote.clock.advance(10);
      return isOver;
    });
    expect(String(await late)).toContain('answered 503');
    const refusals = results(server, status(403));
    await rejection(flights.publish('k', publication));
    expect(refusals).toHaveLength(1);
  });

  test('is one of two at a time, and none of a client that is closed', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    await server.opened();
    const asked = results(server, () => undefined);
    const ids = ['a', 'b', 'c'];
    const { flights } = remote.session;
    const all = ids.map((permitId) =>
      rejection(flights.publish('k', { ...publication, permitId })),
    );
    await until(() => asked.length === 2);
    await remote.session.setPermits('k', 1);
    expect(asked).toHaveLength(2);
    await remote.session.close();
    expect(await Promise.all(all)).toMatchObject(ids.map(() => ({ key: 'k' })));
  });
});
