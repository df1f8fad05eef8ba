import 'reflect-metadata';
import { Body, Controller, Delete, HttpCode, Module, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { SemaphoreModule } from 'nestjs-semaphore';
import { SemaphoreServerModule } from 'nestjs-semaphore/server';

export const API_KEY = 'benchmark-0123456789';

/**
 * Serves permits over HTTP, or two routes that take the same requests and give answers of the same size.
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

const ID = '7f0c3c9e-6a0b-4d1f-9d43-0a8f5f0f7f10';
const TIME = 1_790_000_000_000;
const TOKEN = TIME * 1000;

function rawModule() {
  class RawController {
    acquire(key, body) {
      const { permits: weight, leaseMs } = body;
      return { id: ID, key, weight, fencingToken: TOKEN, leaseMs, expiresAt: TIME };
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
