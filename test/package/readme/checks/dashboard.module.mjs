import assert from 'node:assert/strict';
import { DashboardModule } from '../dist/dashboard.module.js';
import { redisUrl, startApp } from './support.mjs';

process.env.DASHBOARD_PASSWORD = 'right:one';
const { service, url, close } = await startApp({
  semaphores: { redis: redisUrl },
  imports: [DashboardModule],
  listen: true,
});
const elsewhere = await startApp({ semaphores: { redis: redisUrl } });
const page = `${url}/ops/semaphores/`;

const as = (user, password) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});
const release = (id, headers) =>
  fetch(`${page}api/release`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json', 'x-semaphore-dashboard': 'act' },
    body: JSON.stringify({ key: 'k', id }),
  });

for (const headers of [{}, as('anna', 'wrong'), as('anna', ''), { authorization: 'Basic' }]) {
  const refused = await fetch(page, { headers });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get('www-authenticate'), 'Basic realm="Semaphores"');
}
delete process.env.DASHBOARD_PASSWORD;
assert.equal((await fetch(page, { headers: as('anna', '') })).status, 401);
process.env.DASHBOARD_PASSWORD = 'right:one';

const anna = as('anna', 'right:one');
const guest = as('guest', 'right:one');
const html = await (await fetch(page, { headers: anna })).text();
assert.match(html, /<title>Semaphores<\/title>/);
const script = await fetch(`${page}uplot.js`, { headers: guest });
assert.equal(script.status, 200, 'the package brings what its page loads');

const permit = await elsewhere.service.acquire('k', { permits: 2 });
const answer = await fetch(`${page}api/overview`, { headers: guest });
const [row] = (await answer.json()).overview.rows;
assert.equal(row.key, 'k');
assert.deepEqual([row.state.held, row.state.permits], [1, 2], 'of another process');

assert.equal((await release(permit.id, guest)).status, 403);
assert.equal(permit.isHeld, true);
assert.equal((await release(permit.id, anna)).status, 200);
await new Promise((resolve) => {
  if (permit.signal.aborted) resolve();
  else permit.signal.addEventListener('abort', resolve);
});
assert.equal((await service.inspect('k')).held, 0);
await Promise.all([close(), elsewhere.close()]);
