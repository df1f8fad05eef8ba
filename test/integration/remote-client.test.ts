import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { watchedSignals } from '../../lib/cancel/on-abort.js';
import { Remote, ScriptedServer, until } from '../support/scripted-server.js';
import { rejection } from '../support/semaphores.js';

describe('the connections of a client', () => {
  test('are one for its calls, and none when it is closed', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    for (let i = 0; i < 5; i++) await remote.session.setPermits('k', 1);
    expect(server.connections).toBe(2);
    expect(watchedSignals).toMatchObject({ size: 0 });
    await remote.session.close();
    expect(server.asked.at(-1)).toBe('close');
    await until(() => server.openConnections === 0);
    expect(remote.clock.pendingTimers).toBe(0);
  });

  test('may be closed by the server at the moment of a call, which is sent again at once', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    await remote.session.setPermits('k', 1);
    let isClosed = false;
    server.answer = (_calls, response) => {
      if (isClosed) return [{ value: 'expired' }];
      isClosed = true;
      response.destroy();
      return undefined;
    };
    expect(await remote.session.release('k', 'a', 0)).toBe('released');
    expect(server.asked).toEqual(['open', 'setPermits k', 'release k', 'release k']);
  });

  test('may break while a call waits for its answer: then nobody knows whether it was done', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    await remote.session.setPermits('k', 1);
    server.answer = () => {
      server.answer = () => [{ value: 'expired' }];
      server.endStream();
      return undefined;
    };
    expect(await remote.session.release('k', 'a', 0)).toBe('released');
    expect(server.asked).toEqual(['open', 'setPermits k', 'release k', 'open', 'release k']);
    expect(remote.told).toEqual(['down', 'up']);
  });

  test('that nobody accepts any more certainly did nothing', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    await server.opened();
    server.refuse();
    const failed = rejection(remote.session.setPermits('k', 1));
    await until(() => remote.told.includes('down'));
    await remote.clock.advance(5000);
    expect(await failed).toMatchObject({ nothingDone: true });
    expect(String(await failed)).toContain('ECONNREFUSED');
  });

  test.each([408, 409, 429, 500])('are tried again after %i', async (status) => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    server.answer = (_calls, response) => {
      server.answer = () => [{ value: 'expired' }];
      response.writeHead(status).end();
      return undefined;
    };
    // Only of a fault of its own the server does not say that it did nothing.
    const outcome = status === 500 ? 'released' : 'expired';
    expect(await remote.session.release('k', 'a', 0)).toBe(outcome);
    expect(server.asked).toEqual(['open', 'release k', 'open', 'release k']);
  });

  test('tell why the server refuses, at once', async () => {
    await using server = await ScriptedServer.start();
    server.takes = (_request, response) => {
      response.writeHead(401).end('{"message":"no such key"}');
      return true;
    };
    await using remote = new Remote([server]);
    const error = await rejection(remote.session.inspect('k'));
    expect(String(error)).toContain('the server answered 401 (no such key)');
    expect(error).toMatchObject({ cause: { statusCode: 401 } });
  });

  test('to a server that says nothing at all are given up for those to the next one', async () => {
    await using silent = await ScriptedServer.start();
    await using server = await ScriptedServer.start();
    let isAsked = false;
    silent.takes = () => (isAsked = true);
    await using remote = new Remote([silent, server]);
    await until(() => isAsked);
    await remote.clock.advance(5000);
    await server.opened();
    await remote.session.setPermits('k', 1);
    expect(server.asked).toEqual(['open', 'setPermits k']);
  });

  test('go back to the first server when the stream ends there, and no further than needed', async () => {
    await using server = await ScriptedServer.start();
    await using second = await ScriptedServer.start();
    await using _remote = new Remote([server, second]);
    for (let times = 1; times < 3; times++) {
      await server.opened(times);
      server.endStream();
    }
    await server.opened(3);
    expect(second.asked).toEqual([]);
    server.takes = (_request, response) => Boolean(response.destroy());
    server.endStream();
    await second.opened();
  });

  test('are not tried again all the time', async () => {
    await using server = await ScriptedServer.start();
    let tries = 0;
    server.takes = (_request, response) => {
      tries++;
      return Boolean(response.destroy());
    };
    await using _remote = new Remote([server]);
    await sleep(200);
    expect(tries).toBeLessThan(10);
  });

  test('live as long as something is heard on them', async () => {
    await using server = await ScriptedServer.start();
    server.hello = { ...server.hello, heartbeatMs: 10_000 };
    await using remote = new Remote([server]);
    await server.opened();
    for (let i = 0; i < 3; i++) {
      await remote.clock.advance(15_000);
      server.tell('failed', { key: 'k', id: String(i), message: 'm' });
      await until(() => remote.told.length === i + 1);
    }
    server.answer = (calls) => calls.map(() => ({ value: { holders: [] } }));
    await remote.clock.advance(5000);
    expect(await remote.session.health(100)).toMatchObject({ error: undefined, silentMs: 0 });
    await remote.clock.advance(5000);
    server.tell('failed', { key: 'k', id: 'last', message: 'm' });
    await until(() => remote.told.length === 4);
    expect(server.count('open')).toBe(1);
    // Also to whoever asks for its health while calls have no answer.
    server.answer = () => undefined;
    const health = remote.session.health(100);
    await remote.clock.advance(100);
    expect(await health).toMatchObject({ latencyMs: undefined, isListening: true, silentMs: 100 });
    await remote.clock.advance(25_000);
    await server.opened(2);
    expect(remote.told).toContain('down');
  });

  test('need not be there for a client to be closed', async () => {
    await using server = await ScriptedServer.start();
    await using remote = new Remote([server]);
    await server.opened();
    const asked: (string | undefined)[] = [];
    server.takes = ({ method }) => asked.push(method) > 0;
    server.endStream();
    await until(() => asked.length > 0);
    await remote.session.close();
    expect(asked).toEqual(['GET']);
  });
});
