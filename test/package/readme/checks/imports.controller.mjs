import { PermitLostError } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { ImportsController } from '../dist/imports.controller.js';
import { all, free, job, startApp } from './support.mjs';

const { url, service, close } = await startApp({ controllers: [ImportsController], listen: true });
const key = 'ImportsController.create';
const post = () => fetch(`${url}/imports`, { method: 'POST' });

const whole = post();
for (const n of [1, 2, 3]) (await job('importRow', n)).end();
assert.deepEqual(await (await whole).json(), { count: 3 });
await free(service, key);

const lost = post();
const row = await job('importRow', 4);
const [, { signal, token }] = row.args;
const [holder] = (await service.inspect(key)).holders;
assert.equal(token, holder.fencingToken);
assert.ok(await service.forceRelease(key, holder.id));
assert.equal(signal.aborted, true);
assert.ok(signal.reason instanceof PermitLostError);
row.end();
assert.equal((await lost).status, 500);
assert.equal(all('importRow').length, 4, 'no row after the permit was lost');
await close();
