import 'reflect-metadata';
import { Body, Controller, Delete, HttpCode, Module, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { SemaphoreModule } from 'nestjs-semaphore';
import { SemaphoreServerModule } from 'nestjs-semaphore/server';

export const API_KEY = 'benchmark-0123456789';

/**
 * Serves permits over HTTP, or two routes of the same shape that do nothing.
 * @param {{ store: 'none' | 'memory' | 'redis', port?: number }} options
 */
export async function serveLocks(_client, { store, port }) {
  const app = await NestFactory.create(
    store === 'none' ? rawModule() : lockModule(store, port),
    new FastifyAdapter(),
    { logger: false },
  );
  await app.listen(0, '127.0.0.1');
  return { url: await app.getUrl() };
}

function lockModule(store, port) {
  class AppModule {}
  const redis = store === 'redis' ? { redis: `redis://127.0.0.1:${port}` } : {};
  Module({
    imports: [
      SemaphoreModule.forRoot({ ...redis, log: 'none' }),
      SemaphoreServerModule.forRoot({ apiKeys: [API_KEY] }),
    ],
  })(AppModule);
  return AppModule;
}

function rawModule() {
  class RawController {
    acquire(key, body) {
      return { id: 'id', key, weight: 1, fencingToken: 1, leaseMs: body.leaseMs, expiresAt: 1 };
    }

    release() {
      return { outcome: 'released' };
    }
  }
  const path = 'v1/semaphores/:key/permits';
  decorate(RawController, 'acquire', [Post(path), HttpCode(201)], [Param('key'), Body()]);
  decorate(RawController, 'release', [Delete(`${path}/:id`)], []);
  Controller()(RawController);
  class AppModule {}
  Module({ controllers: [RawController] })(AppModule);
  return AppModule;
}

function decorate(target, method, decorators, parameters) {
  const descriptor = Object.getOwnPropertyDescriptor(target.prototype, method);
  for (const decorator of decorators) decorator(target.prototype, method, descriptor);
  parameters.forEach((decorator, index) => decorator(target.prototype, method, index));
}
