import assert from 'node:assert/strict';
import { ExportsController } from '../dist/exports.controller.js';
import { all, endAll, eventually, at, free, startApp } from './support.mjs';

const { url, service, close } = await startApp({
  controllers: [ExportsController],
  use: (request, _response, next) => {
    request.user = { id: request.headers['x-user'] };
    next();
  },
  listen: true,
});
const post = (user) => fetch(`${url}/exports`, { method: 'POST', headers: { 'x-user': user } });

const ann = [post('ann'), post('ann')];
await eventually('two exports of ann run', () => at('exportFiles').length === 2);
const third = await post('ann');
assert.equal(third.status, 429);
assert.ok(Number(third.headers.get('retry-after')) >= 1);
assert.equal((await third.json()).code, 'SEMAPHORE_BUSY');

const bob = post('bob');
await eventually('bob is not held up by ann', () => at('exportFiles').length === 3);
await endAll('exportFiles');
for (const response of await Promise.all([...ann, bob])) assert.equal(response.status, 201);
assert.equal(all('exportFiles').length, 3);
await free(service, 'export:ann');
await close();
