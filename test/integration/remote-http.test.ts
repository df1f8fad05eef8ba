import { expect, test } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService } from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { ADMIN_KEY, LockServer } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { Semaphores } from '../support/semaphores.js';

test.each([
  ['', ''],
  ['/', ''],
  ['//', ''],
  ['/locks', '/locks'],
  ['/locks/', '/locks'],
  ['//locks', '/locks'],
  ['//inner//locks//', '/inner/locks'],
])('a client whose url ends with "%s" finds the server at "%s"', async (end, basePath) => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open(), { basePath: () => basePath });
  const url = server.url + end;
  const store = new RemoteSemaphoreStore({ url, apiKey: ADMIN_KEY, storeTimeoutMs: 1000 });
  const client = new SemaphoreService({ store, log: 'none' });
  try {
    const permit = await client.acquire('k');
    expect(await permit.release()).toBe('released');
  } finally {
    await client.close();
  }
});

test('the list of keys has one of them a line, whatever takes what for the end of one', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const key = 'a\u2028b\u2029c';
  await server.acquire(key);
  const headers = { 'x-api-key': ADMIN_KEY };
  const text = await (await fetch(`${server.url}/v1/store/keys`, { headers })).text();
  const lines = text.split(/[\n\u2028\u2029]/);
  expect(lines.map((line) => line && (JSON.parse(line) as unknown))).toEqual([key, true, '']);
});

test('a stream that its client has given up before it was opened here shortens no lease', async () => {
  const clock = new VirtualClock();
  const semaphores = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }) });
  const otherKey = 'other-key-0123456789';
  await using server = await LockServer.start(semaphores, { apiKeys: [ADMIN_KEY, otherKey] });
  const session = { 'x-store-session': 's'.repeat(43), 'x-store-client': 'a:1' };
  const request = (method: string, body?: string, apiKey = ADMIN_KEY): Promise<Response> =>
    fetch(`${server.url}/v1/store`, {
      method,
      headers: {
        ...session,
        'x-store-grace': '1000',
        'x-api-key': apiKey,
        'content-type': 'application/json',
      },
      ...(body === undefined ? {} : { body }),
    });
  await request('GET');
  const limits = { permits: 1, weight: 1, priority: 0, wait: false, maxWaiting: null };
  const wish = { op: 'acquire', key: 'k', id: 'a', leaseMs: 60_000, ...limits };
  expect((await request('POST', JSON.stringify({ attempt: 1, calls: [wish] }))).status).toBe(200);
  // The client has gone on at another server, and this one stood still.
  await clock.advance(1000);
  const late = await request('GET');
  await late.body?.cancel();
  const isMissed = async (): Promise<boolean> =>
    (await request('POST', '{"calls":[]}', otherKey)).status === 409;
  await pollUntil('its end is noticed', isMissed);
  const [holder] = (await semaphores.inspect('k')).holders;
  expect((holder?.expiresAt ?? 0) - clock.wallTime()).toBe(59_000);
  await semaphores.close();
});
