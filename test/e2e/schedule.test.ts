import { Injectable } from '@nestjs/common';
import { Cron, Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MemorySemaphoreStore, Semaphore, StoreUnavailableError } from 'nestjs-semaphore';
import { Gate, TestApp } from '../support/nest-app.js';
import { startRedis } from '../support/redis-server.js';

const NEVER_BY_ITSELF = '0 0 0 29 2 1';

let gate: Gate;
let runs: string[];

@Injectable()
class Jobs {
  @Semaphore({ onUnavailable: 'skip', waitMs: 0 })
  @Cron(NEVER_BY_ITSELF, { name: 'above' })
  async above(): Promise<void> {
    runs.push('above');
    await gate.stop();
  }

  @Cron(NEVER_BY_ITSELF, { name: 'below' })
  @Semaphore({ onUnavailable: 'skip', waitMs: 0, holdAtLeastMs: 60_000 })
  below(): void {
    runs.push('below');
  }

  @Semaphore({ onUnavailable: 'skip' })
  async patient(): Promise<void> {
    runs.push('patient');
    await gate.stop();
  }

  @Semaphore({ onUnavailable: 'skip', onStoreFailure: 'allow' })
  async anyway(): Promise<void> {
    runs.push('anyway');
  }

  @Semaphore()
  @Interval('interval', 1)
  interval(): void {
    runs.push('interval');
  }
}

/** Two processes of one cluster, as far as the semaphores can tell. */
describe('@Semaphore() on scheduled jobs', () => {
  let apps: TestApp[];

  beforeEach(async () => {
    gate = new Gate();
    runs = [];
    const store = new MemorySemaphoreStore();
    const metadata = { imports: [ScheduleModule.forRoot()], providers: [Jobs] };
    const start = (): Promise<TestApp> =>
      TestApp.start(() => new ExpressAdapter(), metadata, { store });
    apps = [await start(), await start()];
  });

  afterEach(async () => {
    gate.pass();
    for (const app of apps) await app.close();
  });

  async function fire(name: string): Promise<void> {
    for (const { app } of apps) await app.get(SchedulerRegistry).getCronJob(name).fireOnTick();
  }

  it.each(['above', 'below'])(
    'runs a job on one instance, with @Cron() %s or not',
    async (name) => {
      gate.pass();
      const [first, second] = apps as [TestApp, TestApp];
      await Promise.all([
        first.app.get(Jobs)[name as 'above'](),
        second.app.get(Jobs)[name as 'above'](),
      ]);
      expect(runs.filter((run) => run === name)).toEqual([name]);
    },
  );

  it('skips the job while another instance works on it', async () => {
    const [first, second] = apps as [TestApp, TestApp];
    void first.app.get(SchedulerRegistry).getCronJob('above').fireOnTick();
    await gate.reached;
    void second.app.get(SchedulerRegistry).getCronJob('above').fireOnTick();
    expect(await second.happened('rejected', 'Jobs.above')).toMatchObject({ reason: 'busy' });
    gate.pass();
    await first.expectFreed('Jobs.above');
    expect(runs.filter((run) => run === 'above')).toHaveLength(1);
  });

  it('runs a short job once, although the other instance fires after it is done', async () => {
    await fire('below');
    await fire('below');
    expect(runs.filter((run) => run === 'below')).toEqual(['below']);
    expect(apps[1]?.count('rejected', 'Jobs.below')).toBe(2);
  });

  it('skips a job that waits when the application shuts down, and the ticks after that', async () => {
    const [first, second] = apps as [TestApp, TestApp];
    const working = first.app.get(Jobs).patient();
    await gate.reached;
    const jobs = second.app.get(Jobs);
    const waiting = jobs.patient();
    await second.happened('waiting', 'Jobs.patient');
    apps.pop();
    await second.close();
    expect(await waiting).toBeUndefined();
    expect(await jobs.patient()).toBeUndefined();
    gate.pass();
    await working;
    expect(runs.filter((run) => run === 'patient')).toHaveLength(1);
  });

  it('does not skip a job because the store is away: onStoreFailure decides', async () => {
    await using server = await startRedis();
    const metadata = { imports: [ScheduleModule.forRoot()], providers: [Jobs] };
    const options = { redis: server.url, storeTimeoutMs: 500 };
    const app = await TestApp.start(() => new ExpressAdapter(), metadata, options);
    apps.push(app);
    gate.pass();
    await app.semaphores.health();
    await server.stop();
    await expect(app.app.get(Jobs).patient()).rejects.toThrow(StoreUnavailableError);
    await app.app.get(Jobs).anyway();
    expect(runs).toContain('anyway');
    expect(runs).not.toContain('patient');
  });

  it('runs the job of an @Interval() under a permit', async () => {
    await apps[0]?.happened('released', 'Jobs.interval');
    expect(runs).toContain('interval');
  });
});
