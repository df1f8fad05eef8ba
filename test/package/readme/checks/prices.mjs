import { Redis } from 'ioredis';
import { SemaphoreService } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { setPrice } from '../dist/prices.js';
import { redisUrl } from './support.mjs';

const redis = new Redis(redisUrl);
const semaphores = new SemaphoreService({ redis });
const price = () => redis.hget('price:tea', 'price');

const frozen = await semaphores.acquire('price:tea');
await setPrice(redis, frozen, 'tea', '1');
await setPrice(redis, frozen, 'tea', '2');
await semaphores.forceRelease('price:tea', frozen.id);
const next = await semaphores.acquire('price:tea');
await setPrice(redis, next, 'tea', '3');
await assert.rejects(setPrice(redis, frozen, 'tea', '99'), /A newer holder/);
assert.equal(await price(), '3');
await setPrice(redis, next, 'tea', '4');
assert.equal(await price(), '4');

await next.release();
await semaphores.close();
assert.equal(await redis.ping(), 'PONG', 'an instance that was passed in is not closed');
redis.disconnect();
