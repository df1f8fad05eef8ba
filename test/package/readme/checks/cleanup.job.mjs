import { ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import assert from 'node:assert/strict';
import { CleanupJob } from '../dist/cleanup.job.js';
import { all, eventually, job, redisUrl, startApp } from './support.mjs';

const start = () =>
  startApp({
    semaphores: { redis: redisUrl },
    imports: [ScheduleModule.forRoot()],
    providers: [CleanupJob],
  });
const instances = await Promise.all([start(), start(), start()]);
const [one, two, late] = instances;

const events = [];
for (const { service } of instances) service.events.subscribe(({ type }) => events.push(type));
const happened = (type, times) =>
  eventually(`${type} ${times} times`, () => events.filter((e) => e === type).length >= times);

// What cron does when the time has come.
const fire = ({ app }) => app.get(SchedulerRegistry).getCronJob('cleanup').fireOnTick();
void fire(one);
void fire(two);
await happened('rejected', 1);
(await job('cleanUp')).end();
await happened('released', 1);
void fire(late);
await happened('rejected', 2);

assert.equal(all('cleanUp').length, 1);
const { holders } = await late.service.inspect('CleanupJob.run');
assert.equal(holders.length, 1, 'the permit stays taken after a short run');
const keptMs = holders[0].expiresAt - holders[0].acquiredAt;
assert.ok(Math.abs(keptMs - 30_000) <= 1, `kept for ${keptMs} ms`);
await Promise.all(instances.map(({ close }) => close()));
