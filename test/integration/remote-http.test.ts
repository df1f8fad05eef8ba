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
