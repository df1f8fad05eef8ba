import assert from 'node:assert/strict';
import { InvoicesService } from '../dist/invoices.service.js';
import { all, at, job, occupied, startApp } from './support.mjs';

const { app, service, close } = await startApp({ providers: [InvoicesService] });
const invoices = app.get(InvoicesService);

const closing = [invoices.close('may'), invoices.close('may')];
await occupied(service, 'invoices:may', 1, 1);
assert.equal(at('closeBooks').length, 1);
(await job('closeBooks', 1)).end('first');
(await job('closeBooks', 2)).end('second');
assert.deepEqual(await Promise.all(closing), ['first', 'second']);
const [[, earlier], [, later]] = all('closeBooks').map(({ args }) => args);
assert.ok(Number.isSafeInteger(earlier) && later > earlier, `${later} > ${earlier}`);

const failing = invoices.close('june');
(await job('closeBooks', 3)).fail(new Error('no June'));
await assert.rejects(failing, /no June/);
assert.equal((await service.inspect('invoices:june')).held, 0);
await close();
