import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, jest, test } from '@jest/globals';
import { Transfers } from '../../lib/server/transfers.js';
import { internalsOf } from '../../lib/service-internals.js';
import { useFakeTimers } from '../support/fake-timers.js';
import { LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { Semaphores } from '../support/semaphores.js';

const MEGABYTE = 'x'.repeat(1_000_000);
const MANY = Array.from({ length: 20 }, () => MEGABYTE);

afterEach(() => {
  jest.useRealTimers();
  jest.restoreAllMocks();
});

test('a caller that does not read its answers holds only some of them in memory', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  const [mine, other] = ['tenant-a-0123456789', 'tenant-b-0123456789'];
  await using server = await LockServer.start(semaphores, { apiKeys: [mine, other] });
  // So long together that no network holds them.
  const permits = 4000;
  const label = '\u0001'.repeat(256);
  await Promise.all(
    Array.from({ length: permits }, () => semaphores.acquire('k', { permits, label })),
  );
  const looks = jest.spyOn(internalsOf(semaphores).session(), 'inspect');
  const { port } = server.http.address() as AddressInfo;
  const sockets = Array.from({ length: 20 }, () => {
    const socket = connect(port, '127.0.0.1').pause();
    socket.write(`GET /v1/semaphores/k HTTP/1.1\r\nhost: localhost\r\nx-api-key: ${mine}\r\n\r\n`);
    return socket.on('error', () => undefined);
  });
  await pollUntil('some are answered', async () => looks.mock.calls.length >= 8);
  for (let i = 0; i < 5; i++) expect((await server.with(other).inspect('l')).status).toBe(200);
  expect(looks.mock.calls.filter(([key]) => key === 'k')).toHaveLength(8);
  for (const socket of sockets) socket.destroy();
  expect((await server.with(mine).inspect('l')).status).toBe(200);
});

test('who does not read an answer in time is disconnected', async () => {
  useFakeTimers();
  const transfers = new Transfers(1);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  client.on('error', () => undefined);
  client.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [, response] = await once(server, 'request');
  const answered = transfers.answer('me', response, async () => MANY);
  const next = transfers.run('me', async () => 'served');
  await new Promise(setImmediate);
  // Who reads 50 kB/s is through with its 20 MB, and 10 s are left.
  jest.advanceTimersByTime(409_000);
  expect(response.destroyed).toBe(false);
  jest.advanceTimersByTime(2_000);
  await answered;
  expect(response.destroyed).toBe(true);
  expect(await next).toBe('served');
  client.destroy();
  server.close();
});
