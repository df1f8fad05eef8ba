import { Redis } from 'ioredis';
import { SemaphoreService } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { handler } from '../dist/thumbnails.function.js';
import { job, occupied, free, redisUrl } from './support.mjs';

const observe = () => new SemaphoreService({ redis: redisUrl, log: 'none' });
const before = observe();
const first = handler({ image: 'cat' });
(await job('makeThumbnail', 1)).end('small cat');
assert.equal(await first, 'small cat');
await free(before, 'thumbnails');
await before.close();

// While a function is frozen its connections may be cut.
const admin = new Redis(redisUrl);
await admin.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
await admin.client('KILL', 'TYPE', 'pubsub');
const observer = observe();
const second = handler({ image: 'dog' });
const running = await job('makeThumbnail', 2);
await occupied(observer, 'thumbnails', 1);
const leaseEnd = async () => (await observer.inspect('thumbnails')).holders[0].expiresAt;
const [holder] = (await observer.inspect('thumbnails')).holders;
assert.equal(holder.expiresAt - holder.acquiredAt, 60_000);
await delay(50);
assert.equal(await leaseEnd(), holder.expiresAt, 'nothing is renewed');
running.end('small dog');
assert.equal(await second, 'small dog');
await free(observer, 'thumbnails');
await observer.close();
admin.disconnect();
// The function's own connections stay open for its next call, as they would.
process.exit(0);
