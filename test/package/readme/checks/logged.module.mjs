import assert from 'node:assert/strict';
import { LoggedModule, LogSwitch } from '../dist/logged.module.js';
import { alerts } from '../dist/work.js';
import { startApp } from './support.mjs';

const { app, service, close } = await startApp({ semaphores: null, imports: [LoggedModule] });
const permit = await service.acquire('k');
assert.equal(await service.tryAcquire('k'), null);
await service.setPermits('k', 3);
await service.acquire('k', { leaseMs: 20, renew: false });
await new Promise((resolve) => {
  service.events.subscribe(({ type }) => type === 'lost' && resolve());
});
const kinds = alerts.map((alert) => alert.split(':')[0]);
assert.deepEqual(kinds, ['rejected', 'lost']);

app.get(LogSwitch).verbose();
await permit.release();
assert.equal(alerts.length, 2, 'the sink was replaced by the Nest logger');
await close();
