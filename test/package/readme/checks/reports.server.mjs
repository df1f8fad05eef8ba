import assert from 'node:assert/strict';
import { once } from 'node:events';
import { semaphores, server } from '../dist/reports.server.js';
import { all, at, endAll, eventually, free, occupied } from './support.mjs';

const listening = server.listen(0, '127.0.0.1');
await once(listening, 'listening');
const ask = (signal) => fetch(`http://127.0.0.1:${listening.address().port}/reports`, { signal });

const five = Array.from({ length: 5 }, () => ask());
await eventually('five run', () => at('queryReports').length === 5);
assert.equal((await semaphores.inspect('reports')).permits, 5);

const client = new AbortController();
const leaves = ask(client.signal);
await occupied(semaphores, 'reports', 5, 1);
client.abort();
await assert.rejects(leaves, { name: 'AbortError' });
await occupied(semaphores, 'reports', 5, 0);

const refused = await ask();
assert.equal(refused.status, 429);
assert.ok(Number(refused.headers.get('retry-after')) >= 1);

await endAll('queryReports');
for (const response of await Promise.all(five)) assert.equal(response.status, 200);
await free(semaphores, 'reports');
assert.equal(all('queryReports').length, 5);
listening.close();
await semaphores.close();
