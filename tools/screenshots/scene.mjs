/** Something to look at: an application with the dashboard and a busy day, and a second process that does the same. */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { fork } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SemaphoreDashboardModule } from '../../dist/dashboard/index.js';
import { SemaphoreModule, SemaphoreService } from '../../dist/index.js';

const KINDS = [
  { key: 'exports:tenant-acme', permits: 2, callers: 1, workMs: 9_000, label: 'export' },
  { key: 'exports:tenant-globex', permits: 2, callers: 2, workMs: 6_000, label: 'export' },
  { key: 'geocoder', permits: 5, callers: 4, workMs: 420, label: 'address' },
  { key: 'imports:tenant-initech', permits: 4, callers: 2, workMs: 12_000, label: 'import' },
  { key: 'invoices:number', permits: 1, callers: 1, workMs: 250, label: 'invoice' },
  { key: 'mail:send', permits: 20, callers: 8, workMs: 700, label: 'mail' },
  {
    key: 'payments:acct-1042',
    permits: 1,
    callers: 2,
    workMs: 900,
    waitMs: 1_200,
    label: 'payment',
  },
  { key: 'payments:acct-2210', permits: 1, callers: 1, workMs: 1_500, label: 'payment' },
  { key: 'reports:render', permits: 4, callers: 5, workMs: 2_600, waitMs: 9_000, label: 'report' },
  {
    key: 'search:reindex',
    permits: 1,
    callers: 1,
    workMs: 60_000,
    waitMs: 300_000,
    label: 'nightly',
  },
  { key: 'thumbnails', permits: 8, callers: 3, workMs: 1_100, label: 'image' },
  { key: 'video:transcode', permits: 6, callers: 5, workMs: 4_500, label: 'clip' },
];
/** How long the load takes to rise and fall again. */
const TIDE_MS = 240_000;

/** Opens everything on an empty Redis. */
export async function openScene(redis) {
  class AppModule {}
  Module({
    imports: [
      SemaphoreModule.forRoot({ redis, log: 'none' }),
      SemaphoreDashboardModule.forRoot({ authorize: () => ({ access: 'act', user: 'anna' }) }),
    ],
  })(AppModule);
  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  await app.listen(0, '127.0.0.1');
  const end = new AbortController();
  const work = workLoad(app.get(SemaphoreService), end.signal);
  const other = fork(fileURLToPath(import.meta.url), [redis]);
  return {
    url: `${await app.getUrl()}/semaphores/`,
    async close() {
      end.abort();
      other.kill();
      await Promise.all([work, once(other, 'exit')]);
      await app.close();
    },
  };
}

function workLoad(semaphores, signal) {
  setMaxListeners(0, signal);
  const callers = KINDS.flatMap((kind) => Array.from({ length: kind.callers }, () => kind));
  return Promise.all(callers.map((kind) => call(semaphores, kind, signal)));
}

async function call(semaphores, { key, permits, workMs, waitMs = 30_000, label }, signal) {
  while (!signal.aborted) {
    const options = {
      permits,
      label: `${label} ${1_000 + Math.floor(Math.random() * 9_000)}`,
      priority: Math.random() < 0.15 ? 5 : 0,
      waitMs,
      signal,
    };
    const tide = 1 + Math.sin((Date.now() / TIDE_MS) * 2 * Math.PI) / 2;
    const work = (permit) =>
      pause(workMs * tide * (0.4 + Math.random()), AbortSignal.any([permit.signal, signal]));
    await semaphores.withPermit(key, work, options).catch(() => undefined);
    await pause(Math.random() * 600, signal);
  }
}

async function pause(ms, signal) {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

const [, script, redis] = process.argv;
if (script === fileURLToPath(import.meta.url)) {
  process.on('disconnect', () => process.exit());
  await workLoad(new SemaphoreService({ redis, log: 'none' }), new AbortController().signal);
}
