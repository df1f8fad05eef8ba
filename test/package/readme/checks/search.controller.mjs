import assert from 'node:assert/strict';
import { SearchController } from '../dist/search.controller.js';
import { all, at, endAll, eventually, free, occupied, startApp } from './support.mjs';

const { url, service, close } = await startApp({ controllers: [SearchController], listen: true });
const key = 'SearchController.find';
const get = () => fetch(`${url}/search`);

const runs = [get(), get()];
await occupied(service, key, 2);
const waits = [get(), get(), get()];
await occupied(service, key, 2, 3);

const shed = await get();
assert.equal(shed.status, 503);
assert.equal((await shed.json()).code, 'SEMAPHORE_QUEUE_FULL');
assert.ok(Number(shed.headers.get('retry-after')) >= 1);

at('search')[0].end();
await eventually('one of those who wait has moved up', () => all('search').length === 3);
await occupied(service, key, 2, 0); // two have waited in vain
await endAll('search');
for (const response of await Promise.all(runs)) assert.equal(response.status, 200);
const waited = await Promise.all(waits);
const inVain = waited.filter(({ status }) => status === 429);
assert.equal(inVain.length, 2);
assert.ok(waited.some(({ status }) => status === 200));
for (const response of inVain) {
  assert.equal((await response.json()).code, 'SEMAPHORE_TIMEOUT');
  assert.ok(Number(response.headers.get('retry-after')) >= 1);
}
assert.equal(all('search').length, 3);
await free(service, key);
await close();
