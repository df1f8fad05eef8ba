import assert from 'node:assert/strict';
import { UploadsService } from '../dist/uploads.service.js';
import { free, job, occupied, startApp } from './support.mjs';

const { app, service, close } = await startApp({ providers: [UploadsService] });
const uploads = app.get(UploadsService);

const good = uploads.upload('a.png');
const bad = uploads.upload('b.png');
await occupied(service, 'uploads', 2);
const { permits, holders } = await service.inspect('uploads');
assert.equal(permits, 4);
assert.deepEqual(new Set(holders.map(({ label }) => label)), new Set(['a.png', 'b.png']));
assert.equal((await job('store', 1)).args[1].aborted, false);
(await job('store', 2)).fail(new Error('disk full'));
await assert.rejects(bad, /disk full/);
(await job('store', 1)).end();
await good;
await free(service, 'uploads');

const scan = uploads.scan('a.png');
const running = await job('scanForViruses');
assert.equal(await uploads.scan('b.png'), 'busy');
running.end('clean');
assert.equal(await scan, 'clean');
await free(service, 'scanner');
await close();
