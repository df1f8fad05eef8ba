import assert from 'node:assert/strict';
import { TransfersService } from '../dist/transfers.service.js';
import { all, job, occupied, free, startApp } from './support.mjs';

const { app, service, close } = await startApp({ providers: [TransfersService] });
const transfers = app.get(TransfersService);

const there = transfers.transfer('ann', 'bob', 5);
const back = transfers.transfer('bob', 'ann', 7);
const [, , , tokens] = (await job('transfer', 1)).args;
assert.deepEqual([...tokens.keys()], ['account:ann', 'account:bob']);
await occupied(service, 'account:ann', 1, 1);
await occupied(service, 'account:bob', 1, 0);
assert.equal(all('transfer').length, 1);

all('transfer')[0].end('there');
(await job('transfer', 2)).end('back');
assert.deepEqual(await Promise.all([there, back]), ['there', 'back']);
await free(service, 'account:ann');
await free(service, 'account:bob');
await close();
