import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { SemaphoreModule, SemaphoreService } from 'nestjs-semaphore';
import { SemaphoreDashboardModule } from 'nestjs-semaphore/dashboard';
import { peers as ours, lockersOf, redisAt, withLease } from './ours.mjs';
import { measure, trace } from './ours-telemetry.mjs';

const VIEWER = fileURLToPath(new URL('dashboard-viewer.mjs', import.meta.url));
const { ours: plain } = ours;

export const peers = {
  'ours-dashboard': {
    ...plain,
    name: 'nestjs-semaphore, metrics, open dashboard',
    settings: `${plain.settings}; OpenTelemetry metrics, collected every second; an application with the dashboard, and a page that shows it`,
    open: (target) => {
      measure();
      return openWithDashboard(target);
    },
  },
  'ours-observed': {
    ...plain,
    name: 'nestjs-semaphore, metrics and spans, open dashboard',
    settings: `${plain.settings}; metrics and the dashboard as above, and a span of every wait`,
    open: (target) => {
      measure();
      trace();
      return openWithDashboard(target);
    },
  },
};

/** All processes have the dashboard, and a page shows that of the first. */
async function openWithDashboard(target) {
  class AppModule {}
  Module({
    imports: [
      SemaphoreModule.forRoot({ redis: redisAt(target), ...withLease(target) }),
      SemaphoreDashboardModule.forRoot({ authorize: () => 'view' }),
    ],
  })(AppModule);
  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  const viewer = target.index === 0 ? await openViewer(await app.getUrl()) : undefined;
  return lockersOf(app.get(SemaphoreService), async () => {
    viewer?.kill();
    await app.close();
  });
}

/** What a page asks for is asked for from a process of its own, as a browser would. */
async function openViewer(url) {
  const viewer = fork(VIEWER, [`${url}/semaphores/api/stream`]);
  await Promise.race([once(viewer, 'message'), once(viewer, 'exit').then(failed)]);
  return viewer;
}

function failed() {
  throw new Error('the viewer of the dashboard ended');
}
