import 'reflect-metadata';
import { Controller, Get, Module, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Semaphore, SemaphoreModule } from 'nestjs-semaphore';

const PERMITS = 1000;

/**
 * Serves a handler that does nothing.
 * @param {{ store: 'none' | 'interceptor' | 'memory' | 'redis', port?: number }} options
 */
export async function serve(_client, { store, port }) {
  class HelloController {
    hello() {
      return 'hello';
    }
  }
  decorate(HelloController, 'hello', [...decoratorsFor(store), Get()]);
  Controller()(HelloController);

  class AppModule {}
  const isGuarded = store === 'memory' || store === 'redis';
  const redis = store === 'redis' ? { redis: `redis://127.0.0.1:${port}` } : {};
  Module({
    imports: isGuarded ? [SemaphoreModule.forRoot({ ...redis, log: 'none' })] : [],
    controllers: [HelloController],
  })(AppModule);

  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  return { url: await app.getUrl() };
}

function decoratorsFor(store) {
  if (store === 'none') return [];
  if (store === 'interceptor') {
    return [UseInterceptors({ intercept: (_context, next) => next.handle() })];
  }
  return [Semaphore({ key: 'hot', permits: PERMITS })];
}

/** As the compiler applies them: the last one first. */
function decorate(target, method, decorators) {
  let descriptor = Object.getOwnPropertyDescriptor(target.prototype, method);
  for (const decorator of decorators.toReversed()) {
    descriptor = decorator(target.prototype, method, descriptor) ?? descriptor;
  }
  Object.defineProperty(target.prototype, method, descriptor);
}
