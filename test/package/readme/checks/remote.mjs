import { SemaphoreService } from 'nestjs-semaphore';
import { createSemaphoreServer } from 'nestjs-semaphore/server';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { all, at, endAll, eventually } from './support.mjs';

const apiKey = 'a-key-of-the-recipe';
const semaphores = new SemaphoreService();
const locks = createSemaphoreServer({ semaphores, apiKeys: [apiKey] });
const server = createServer((request, response) => locks.handler(request, response));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.env.SEMAPHORE_URL = `http://127.0.0.1:${server.address().port}`;
process.env.SEMAPHORE_API_KEY = apiKey;
const { resizeRemotely, stopRemote } = await import('../dist/remote.js');

const calls = Array.from({ length: 5 }, (_, i) => resizeRemotely(`image ${i}`));
await eventually('four run', () => at('resizeImage').length === 4);
assert.equal((await semaphores.inspect('resize')).waiters.length, 1);
at('resizeImage')[0].end('resized');
assert.equal(await calls[0], 'resized');
await eventually('the fifth runs', () => all('resizeImage').length === 5);
await endAll('resizeImage');
await Promise.all(calls);

// This process ends by itself after that, or the check takes too long and fails.
await stopRemote();
await locks.close();
await semaphores.close();
server.close();
