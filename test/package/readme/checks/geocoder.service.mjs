import assert from 'node:assert/strict';
import { GeocoderService } from '../dist/geocoder.service.js';
import { at, endAll, eventually, occupied, startApp } from './support.mjs';

const { app, service, close } = await startApp({ providers: [GeocoderService] });
const geocoder = app.get(GeocoderService);

const calls = Array.from({ length: 7 }, (_, i) => geocoder.locate('acme', `street ${i}`));
await occupied(service, 'geocode:acme', 5, 2);
assert.equal(at('geocode').length, 5);

const other = geocoder.locate('other', 'street');
await eventually('another tenant is not held up', () => at('geocode').length === 6);
at('geocode')[0].end('found');
assert.equal(await calls[0], 'found');
while ((await service.inspect('geocode:acme')).held > 0) await endAll('geocode');
await endAll('geocode');
await Promise.all([...calls, other]);
await close();
