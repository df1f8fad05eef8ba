import { NestFactory } from '@nestjs/core';
import { SemaphoreService } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { free, occupied } from './support.mjs';

process.env.OPERATOR_KEY = 'operator-0123456789';
process.env.SHOP_KEY = 'shop-0123456789abcdef';
const { LocksModule } = await import('../dist/locks.module.js');

const app = await NestFactory.create(LocksModule, { logger: ['error'] });
await app.listen(0, '127.0.0.1');
const service = app.get(SemaphoreService);
const url = `${await app.getUrl()}/locks`;
process.env.LOCK_SERVER = url;
const { exclusively, limited } = await import('../dist/locks.client.js');

// Two at once, the third waits; each gets a larger token.
const ends = [];
const tokens = [];
const work = (token) => {
  tokens.push(token);
  return new Promise((resolve) => ends.push(resolve));
};
const twoAtWork = async () => {
  while (ends.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
};
const all = ['a', 'b', 'c'].map(() => limited('shop:stock/ü', work));
await occupied(service, 'shop:stock/ü', 2, 1);
await twoAtWork();
ends.shift()('done');
await occupied(service, 'shop:stock/ü', 2, 0);
await twoAtWork();
for (const end of ends) end('done');
assert.deepEqual(await Promise.all(all), ['done', 'done', 'done']);
assert.ok(tokens.every((token, index) => index === 0 || token !== tokens[index - 1]));
await free(service, 'shop:stock/ü');

// All or none, and who comes second does nothing.
const keys = ['shop:1', 'shop:2'];
const outcome = await exclusively(keys, async () => {
  await occupied(service, 'shop:1', 1);
  await occupied(service, 'shop:2', 1);
  assert.equal(await exclusively(['shop:2', 'shop:3'], () => assert.fail()), false);
  await free(service, 'shop:3');
});
assert.equal(outcome, true);
for (const key of keys) await free(service, key);

// The shop's key ends at its prefix; the operator's does not; without one only the health is told.
await assert.rejects(limited('other', work), /may not use/);
await assert.rejects(
  exclusively(['other'], () => assert.fail('without a lock')),
  /may not use/,
);
const ask = (path, key) => fetch(url + path, { headers: key ? { 'x-api-key': key } : {} });
assert.equal((await ask('/v1/semaphores/other', process.env.OPERATOR_KEY)).status, 200);
assert.equal((await ask('/v1/semaphores')).status, 401);
assert.deepEqual(await (await ask('/health')).json(), { status: 'ok' });
await app.close();
