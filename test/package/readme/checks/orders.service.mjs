import { ScopeError } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { OrdersService } from '../dist/orders.service.js';
import { all, free, job, occupied, startApp } from './support.mjs';

const { app, service, close } = await startApp({ providers: [OrdersService] });
const orders = app.get(OrdersService);
let acquired = 0;
service.events.subscribe(({ type }) => (acquired += type === 'acquired' ? 1 : 0));

const imported = orders.importAll(['first', 'second']);
(await job('saveOrder', 1)).end();
const second = await job('saveOrder', 2);
await occupied(service, 'erp', 1);
assert.equal((await service.inspect('erp')).permits, 3);
assert.equal(second.args[1].aborted, false);
second.end();
await imported;
await free(service, 'erp');
assert.equal(acquired, 1);
assert.deepEqual(
  all('saveOrder').map(({ args }) => args[0]),
  ['first', 'second'],
);

await assert.rejects(orders.save('third'), ScopeError);
await close();
