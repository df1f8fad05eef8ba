import { TerminusModule } from '@nestjs/terminus';
import assert from 'node:assert/strict';
import { HealthController } from '../dist/health.controller.js';
import { redisUrl, startApp } from './support.mjs';

const parts = { imports: [TerminusModule], controllers: [HealthController], listen: true };

const { service, url, close } = await startApp({ ...parts, semaphores: { redis: redisUrl } });
await service.inspect('connected');
const response = await fetch(`${url}/health`);
const { semaphore } = (await response.json()).details;
assert.equal(response.status, 200);
assert.equal(semaphore.status, 'up');
assert.equal(semaphore.subscriberConnected, true);
assert.ok(semaphore.latencyMs > 0);
assert.ok(semaphore.lastSignOfLifeMs >= 0);
const { latencyMs, isListening } = await service.health();
assert.ok(latencyMs > 0 && isListening);
await close();

const nowhere = await startApp({
  ...parts,
  semaphores: { redis: 'redis://127.0.0.1:1', log: 'none' },
});
const failed = await fetch(`${nowhere.url}/health`);
const { semaphore: down } = (await failed.json()).details;
assert.equal(failed.status, 503);
assert.equal(down.status, 'down');
assert.equal(down.lastSignOfLifeMs, null);
assert.match(down.message, /ECONNREFUSED|no connection/);
await nowhere.close();
