import assert from 'node:assert/strict';
import { report, stop, token } from '../dist/tokens.js';
import { all, job } from './support.mjs';

const impatient = new AbortController();
const calls = [token('acme'), token('acme')];
const leaves = token('acme', impatient.signal);
const fetching = await job('fetchToken');
impatient.abort();
await assert.rejects(leaves, { code: 'SINGLE_FLIGHT_ABORTED' });
const [tenant, signal] = fetching.args;
assert.deepEqual([tenant, signal.aborted], ['acme', false]);
fetching.end('secret');
assert.deepEqual(await Promise.all(calls), ['secret', 'secret']);
assert.equal(await token('acme'), 'secret');
assert.equal(all('fetchToken').length, 1);

const reports = [report({ month: 1, year: 2 }), report({ year: 2, month: 1 }), report('other')];
(await job('renderReport')).end('january');
(await job('renderReport', 2)).end('another');
assert.deepEqual(await Promise.all(reports), ['january', 'january', 'another']);
assert.equal(all('renderReport').length, 2);
await stop();
