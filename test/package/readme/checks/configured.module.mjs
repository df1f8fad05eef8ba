import assert from 'node:assert/strict';
import { ConfiguredModule } from '../dist/configured.module.js';
import { redisUrl, startApp } from './support.mjs';

const { service, close } = await startApp({ semaphores: null, imports: [ConfiguredModule] });
const other = await startApp({ semaphores: { redis: redisUrl } });

assert.deepEqual(service.defaults, { waitMs: 5_000, onStoreFailure: 'local' });
const permit = await service.acquire('shared');
assert.equal(permit.degraded, false);
assert.equal(await other.service.tryAcquire('shared'), null, 'the same Redis');
assert.equal(await permit.release(), 'released');
await Promise.all([close(), other.close()]);
