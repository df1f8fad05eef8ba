import { SingleFlightService } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { RatesService } from '../dist/rates.service.js';
import { all, job, redisUrl, startApp } from './support.mjs';

const semaphores = { redis: redisUrl };
const apps = await Promise.all(
  [1, 2].map(() => startApp({ semaphores, providers: [RatesService] })),
);
const [rates, others] = apps.map(({ app }) => app.get(RatesService));
assert.ok(apps[0].app.get(SingleFlightService));

const day = () => new Date(0);
const calls = [rates, others].flatMap((service) =>
  Array.from({ length: 10 }, () => service.rateOf('EUR', day())),
);
(await job('askForRate')).end(1.08);
assert.deepEqual(new Set(await Promise.all(calls)), new Set([1.08]));
assert.equal(await others.rateOf('EUR', day()), 1.08);
assert.equal(all('askForRate').length, 1);

await others.forgetRate('EUR', day());
const again = rates.rateOf('EUR', day());
(await job('askForRate', 2)).end(1.09);
assert.equal(await again, 1.09);
await Promise.all(apps.map(({ close }) => close()));
