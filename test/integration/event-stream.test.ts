import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, jest, test } from '@jest/globals';
import { EventStream } from '../../lib/http/event-stream.js';
import { useFakeTimers } from '../support/fake-timers.js';
import { pollUntil } from '../support/redis-admin.js';

interface Opened extends AsyncDisposable {
  stream: EventStream;
  response: ServerResponse;
  /** Reads nothing before it is told to. */
  client: Socket;
}

async function open(
  before: (response: ServerResponse) => unknown = () => undefined,
): Promise<Opened> {
  const server = createServer({ keepAliveTimeout: 0 }).listen(0, '127.0.0.1');
  server.timeout = 30_000;
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => undefined);
  client.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [request, response] = await once(server, 'request');
  await before(response);
  return {
    stream: new EventStream(request, response, 60_000),
    response,
    client,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}

const TEN_KILOBYTES = 'x'.repeat(10_000);

function burst(stream: EventStream, kilobytes: number): void {
  for (let i = 0; i < kilobytes; i += 10) stream.send('event', TEN_KILOBYTES);
}

afterEach(() => {
  jest.useRealTimers();
});

test('a burst in one turn reaches a client that reads', async () => {
  await using opened = await open();
  const { stream, client } = opened;
  burst(stream, 20_000);
  stream.close();
  let events = 0;
  for await (const chunk of client) events += String(chunk).split('event: ').length - 1;
  // One that begins in two chunks is not counted.
  expect(events).toBeGreaterThan(1900);
});

test('a stream has no time limit of its connection, which ends with it', async () => {
  await using opened = await open();
  const { stream, response, client } = opened;
  expect(response.socket?.timeout).toBe(0);
  stream.close();
  client.resume();
  await once(client, 'end');
});

test('a stream is told by its headers to be passed on at once, and never falls silent', async () => {
  useFakeTimers();
  await using opened = await open();
  jest.advanceTimersByTime(60_000);
  let text = '';
  opened.client.setEncoding('utf8').on('data', (chunk) => (text += chunk));
  await pollUntil('there is a comment', async () => text.includes(':\n\n'));
  expect(text).toContain('cache-control: no-store, no-transform\r\n');
  expect(text).toContain('x-accel-buffering: no\r\n');
});

test('a stream is closed from the first when its client is gone already', async () => {
  await using opened = await open((response) => once(response.destroy(), 'close'));
  const { stream } = opened;
  const closed = jest.fn();
  stream.onClosed(closed);
  expect(closed).toHaveBeenCalledTimes(1);
});

test('a client that leaves much unread has some seconds to read it', async () => {
  useFakeTimers();
  await using opened = await open();
  const { stream, response, client } = opened;
  burst(stream, 20_000);
  jest.advanceTimersByTime(9000);
  expect(response.destroyed).toBe(false);
  client.resume();
  await once(response, 'drain');
  jest.advanceTimersByTime(20_000);
  expect(response.destroyed).toBe(false);
  client.pause();
  burst(stream, 20_000);
  jest.advanceTimersByTime(10_000);
  expect(response.destroyed).toBe(true);
  const before = jest.getTimerCount();
  await once(response, 'close');
  // No heartbeat any more.
  expect(jest.getTimerCount()).toBeLessThan(before);
});

test('a client that leaves too much unread is disconnected at once', async () => {
  await using opened = await open();
  const { stream, response } = opened;
  burst(stream, 80_000);
  expect(response.destroyed).toBe(true);
  await pollUntil('it is closed', async () => stream.isClosed);
});

test('no timer of a stream keeps the process alive', async () => {
  const set = [jest.spyOn(globalThis, 'setInterval'), jest.spyOn(globalThis, 'setTimeout')];
  await using opened = await open();
  burst(opened.stream, 2000);
  const own = set.flatMap(({ mock }) =>
    mock.calls.flatMap(([, ms], i) => (ms === 60_000 || ms === 10_000 ? mock.results[i] : [])),
  );
  jest.restoreAllMocks();
  expect(own.map((result) => (result as { value: NodeJS.Timeout }).value.hasRef())).toEqual([
    false,
    false,
  ]);
});

test('what comes after the end of a stream is left out', async () => {
  await using opened = await open();
  const { stream, response } = opened;
  const failed = jest.fn();
  response.on('error', failed);
  stream.close();
  stream.send('late', {});
  await once(response, 'close');
  expect(failed).not.toHaveBeenCalled();
});
