import {
  type ArgumentsHost,
  Controller,
  Get,
  Injectable,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  byArgs,
  CurrentPermit,
  InvalidOptionsError,
  type Permit,
  Semaphore,
  SemaphoreGuard,
  SemaphoreInterceptor,
} from 'nestjs-semaphore';
import { adapters, TestApp } from '../support/nest-app.js';

const NO_PERMIT =
  'Expected `@CurrentPermit()` to be on a parameter of a handler with @Semaphore(), whose metadata no decorator above it drops,';

/** Calls the method, and leaves behind what is known of it. */
function Replaced(_target: object, _property: string, descriptor: PropertyDescriptor): void {
  const method = descriptor.value as (...args: unknown[]) => unknown;
  descriptor.value = function replacement(this: unknown, ...args: unknown[]): unknown {
    return Reflect.apply(method, this, args);
  };
}

@Controller()
class Handlers {
  @Get('undecorated')
  undecorated(@CurrentPermit() permit: Permit): string {
    return permit.id;
  }

  @UseGuards(SemaphoreGuard)
  @UseInterceptors(SemaphoreInterceptor)
  @Get('only-bound')
  onlyBound(@CurrentPermit() permit: Permit): string {
    return permit.id;
  }

  @Get('replaced')
  @Replaced
  @Semaphore()
  replaced(@CurrentPermit() permit: Permit): string {
    return permit.id;
  }

  @Get('replaced-key')
  @Replaced
  @Semaphore({ key: () => 'k' })
  replacedKey(): string {
    return 'done';
  }

  @Semaphore({ key: byArgs(() => 'k') })
  @Get('by-args')
  byArgs(@CurrentPermit() permit: Permit): string {
    return permit.id;
  }
}

@Injectable()
class Consumer {
  @Semaphore()
  consume(@CurrentPermit() permit: Permit): string {
    return permit.key;
  }
}

it('gives the permit of a bound copy of a method, as @golevelup/nestjs-rabbitmq calls it', async () => {
  const app = await TestApp.start(() => new ExpressAdapter(), { providers: [Consumer] });
  const consumer = app.app.get(Consumer);
  const bound = consumer.consume.bind(consumer);
  for (const key of Reflect.getMetadataKeys(consumer.consume) as string[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, consumer.consume), bound);
  }
  const call = app.app
    .get(ExternalContextCreator)
    .create(
      consumer,
      bound as (...args: unknown[]) => unknown,
      'consume',
      '__routeArguments__',
      { exchangeKeyForValue: () => undefined },
      undefined,
      undefined,
      undefined,
      'rmq',
    );
  expect(await call('message')).toBe('Consumer.consume');
  await app.expectFreed('Consumer.consume');
  await app.close();
});

describe.each(adapters)('@CurrentPermit() where there is none, on $platform', (adapter) => {
  let app: TestApp;
  let errors: unknown[];

  beforeEach(async () => {
    errors = [];
    app = await TestApp.start(adapter.createAdapter, { controllers: [Handlers] }, {}, (nest) =>
      nest.useGlobalFilters({
        catch(error: unknown, host: ArgumentsHost) {
          errors.push(error);
          host.switchToHttp().getResponse<{ send(body: string): void }>().send('failed');
        },
      }),
    );
  });

  afterEach(() => app.close());

  it.each([
    ['undecorated', `${NO_PERMIT} got "Handlers.undecorated"`],
    ['only-bound', `${NO_PERMIT} got "Handlers.onlyBound"`],
    ['replaced', `${NO_PERMIT} got "Handlers.replacement"`],
    ['replaced-key', 'or by a decorator above it that drops its metadata'],
    ['by-args', 'on a parameter of a handler whose `key` is not made by byArgs(): '],
  ])('fails the call, and says why: %s', async (path, message) => {
    expect(await (await app.fetch(`/${path}`)).text()).toBe('failed');
    expect(errors).toEqual([expect.any(InvalidOptionsError)]);
    expect((errors[0] as Error).message).toContain(message);
  });
});
