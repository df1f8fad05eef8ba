import { expect, test } from '@jest/globals';
import { SemaphoreService } from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { ADMIN_KEY, LockServer } from '../support/lock-server.js';
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
