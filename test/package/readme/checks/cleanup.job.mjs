import { ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import assert from 'node:assert/strict';
import { CleanupJob } from '../dist/cleanup.job.js';
import { all, job, redisUrl, startApp } from './support.mjs';

const start = () =>
  startApp({
    semaphores: { redis: redisUrl },
    imports: [ScheduleModule.forRoot()],
    providers: [CleanupJob],
  });
const instances = await Promise.all([start(), start(), start()]);
const [one, two, late] = instances;

// What cron does when the time has come; a timer's callback may not reject.
const fire = ({ app }) => app.get(SchedulerRegistry).getCronJob('cleanup').fireOnTick();
const fired = [fire(one), fire(two)];
(await job('cleanUp')).end();
await Promise.all(fired);
await fire(late);

assert.equal(all('cleanUp').length, 1);
const { holders } = await late.service.inspect('CleanupJob.run');
assert.equal(holders.length, 1, 'the permit stays taken after a short run');
const keptMs = holders[0].expiresAt - holders[0].acquiredAt;
assert.ok(Math.abs(keptMs - 30_000) <= 1, `kept for ${keptMs} ms`);
await Promise.all(instances.map(({ close }) => close()));
