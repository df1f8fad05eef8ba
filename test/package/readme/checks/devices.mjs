import assert from 'node:assert/strict';
import { setDevice } from '../dist/devices.client.js';
import { DevicesController } from '../dist/devices.controller.js';
import { startApp } from './support.mjs';

const { url, service, close } = await startApp({ controllers: [DevicesController], listen: true });
const lamp = `${url}/devices/lamp`;

const frozen = await service.acquire('device:lamp');
await setDevice(lamp, frozen, { on: true });
await setDevice(lamp, frozen, { on: false });
const token = frozen.fencingToken;
await frozen.release();
const next = await service.acquire('device:lamp');
await setDevice(lamp, next, { on: true });

// Its own `signal` would stop it: this one is not aborted, as that of a frozen process is not.
const late = { fencingToken: token, signal: new AbortController().signal };
await assert.rejects(setDevice(lamp, late, { on: false }), /HTTP 409/);
const without = await fetch(lamp, { method: 'PUT' });
assert.equal(without.status, 409, 'no token, no write');
await setDevice(lamp, next, { on: false });
await next.release();
await close();
