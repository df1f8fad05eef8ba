import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SemaphoreModule, SemaphoreService } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { begun, running } from '../dist/work.js';

// Checks are JavaScript: what they import from ../dist exists only where README.md has been compiled.

export const redisUrl = process.env.REDIS_URL;

/** Asks again until `condition` is true. */
export async function eventually(what, condition, timeoutMs = 10_000) {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `not within ${timeoutMs} ms: ${what}`);
    await delay(5);
  }
}

/** Jobs of that name that run now. */
export function at(name) {
  return [...running].filter((job) => job.name === name);
}

/** Jobs of that name that ever began. */
export function all(name) {
  return begun.filter((job) => job.name === name);
}

/** The n-th job of that name, as soon as it has begun. */
export async function job(name, n = 1) {
  await eventually(`${name} has begun ${n} times`, () => all(name).length >= n);
  return all(name)[n - 1];
}

export async function endAll(name) {
  for (const one of at(name)) one.end();
}

/** A Nest application of the given parts, that listens when `listen` is true. */
export async function startApp({ semaphores = {}, use, listen = false, ...parts }) {
  class AppModule {}
  const imports = [...(parts.imports ?? [])];
  if (semaphores !== null) imports.unshift(SemaphoreModule.forRoot(semaphores));
  Module({ ...parts, imports })(AppModule);
  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  if (use !== undefined) app.use(use);
  if (listen) await app.listen(0, '127.0.0.1');
  else await app.init();
  return {
    app,
    service: app.get(SemaphoreService),
    url: listen ? await app.getUrl() : undefined,
    close: () => app.close(),
  };
}

/** Waits until nobody holds or waits. */
export function free(service, key) {
  return eventually(`${key} is free`, async () => {
    const { held, waiters } = await service.inspect(key);
    return held === 0 && waiters.length === 0;
  });
}

/** Waits until that many hold and wait. */
export function occupied(service, key, held, waiting = 0) {
  return eventually(`${held} hold ${key}, ${waiting} wait`, async () => {
    const snapshot = await service.inspect(key);
    return snapshot.held === held && snapshot.waiters.length === waiting;
  });
}
