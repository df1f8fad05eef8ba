import { type ArgumentsHost, Controller, Get, UseGuards, UseInterceptors } from '@nestjs/common';
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

  @Semaphore({ key: byArgs(() => 'k') })
  @Get('by-args')
  byArgs(@CurrentPermit() permit: Permit): string {
    return permit.id;
  }
}

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
    ['undecorated', 'a handler with @Semaphore(), got "Handlers.undecorated"'],
    ['only-bound', 'a handler with @Semaphore(), got "Handlers.onlyBound"'],
    ['by-args', 'a handler whose `key` is not made by byArgs(): '],
  ])('fails the call, and says why: %s', async (path, message) => {
    expect(await (await app.fetch(`/${path}`)).text()).toBe('failed');
    expect(errors).toEqual([expect.any(InvalidOptionsError)]);
    expect((errors[0] as Error).message).toContain(
      `Expected \`@CurrentPermit()\` to be on a parameter of ${message}`,
    );
  });
});
