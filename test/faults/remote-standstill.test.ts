import { expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SemaphoreService } from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { Cli } from '../support/cli.js';
import { pollUntil } from '../support/redis-admin.js';

const CURL = fileURLToPath(new URL('../support/curl.mjs', import.meta.url));
const TIMEOUT_MS = 500;

/** Until the server has done what it was told before, and longer than a call may take. */
function standStill(url: string): void {
  const end = performance.now() + 2 * TIMEOUT_MS;
  execFileSync(process.execPath, [CURL, `${new URL(url).host}/health`]);
  while (performance.now() < end);
}

it('a client whose event loop was blocked reads what its server said meanwhile, before it gives up', async () => {
  const { server, url } = await Cli.serve(['-p', '0', '-H', '127.0.0.1', '-N']);
  await using _server = server;
  const store = new RemoteSemaphoreStore({ url, storeTimeoutMs: TIMEOUT_MS });
  const semaphores = new SemaphoreService({ store, log: 'none' });
  const events: string[] = [];
  try {
    await pollUntil('it is connected', async () => (await semaphores.health()).isListening);
    semaphores.events.subscribe(({ type }) => events.push(type));
    const acquiring = semaphores.acquire('k');
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    standStill(url);
    const permit = await acquiring;
    expect(permit.isHeld).toBe(true);
    expect(events).not.toContain('store-down');
    await permit.release();
  } finally {
    await semaphores.close();
  }
});
