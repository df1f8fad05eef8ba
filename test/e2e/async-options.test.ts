import { type DynamicModule, Module, type Provider } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { describe, expect, test } from '@jest/globals';
import { InvalidOptionsError, SemaphoreModule } from 'nestjs-semaphore';
import { SemaphoreDashboardModule } from 'nestjs-semaphore/dashboard';
import { SemaphoreServerModule } from 'nestjs-semaphore/server';

interface Source {
  imports?: unknown[];
  useFactory?: () => unknown;
  useClass?: unknown;
  useExisting?: unknown;
}

const modules: [name: string, from: (source: Source) => DynamicModule, method: string][] = [
  [
    'SemaphoreServerModule',
    (source) => SemaphoreServerModule.forRootAsync(source as never),
    'createSemaphoreServerOptions',
  ],
  [
    'SemaphoreDashboardModule',
    (source) => SemaphoreDashboardModule.forRootAsync(source as never),
    'createSemaphoreDashboardOptions',
  ],
];

/** Starts an application with the module, and stops it. */
async function start(module: DynamicModule): Promise<void> {
  const imports = [SemaphoreModule.forRoot({ log: 'none' }), module];
  const testing = await Test.createTestingModule({ imports }).compile();
  const app = testing.createNestApplication({ logger: false });
  try {
    await app.init();
  } finally {
    await app.close();
  }
}

describe.each(modules)('%s.forRootAsync()', (name, from, method) => {
  test.each([undefined, null, '/path'])('refuses %p as what useFactory returns', async (given) => {
    const started = start(from({ useFactory: () => given }));
    await expect(started).rejects.toThrow(InvalidOptionsError);
    await expect(started).rejects.toThrow(`${name}: Expected \`options\` to be an object, got `);
  });

  test.each([undefined, null, {}])('refuses %p, without a source of options', (source) => {
    expect(() => from(source as never)).toThrow(
      `${name}.forRootAsync: Expected \`options\` to be an object with useFactory | useClass | useExisting, got `,
    );
  });

  test('says what a class lacks that makes no options', async () => {
    class Wrong {}
    const own: Provider[] = [Wrong];
    @Module({ providers: own, exports: own })
    class WrongModule {}
    for (const source of [{ useClass: Wrong }, { imports: [WrongModule], useExisting: Wrong }]) {
      await expect(start(from(source))).rejects.toThrow(
        `${name}.forRootAsync, Wrong: Expected \`${method}\` to be a function, got \`undefined\``,
      );
    }
  });

  test('takes options from a class', async () => {
    class Config {
      readonly path = '/elsewhere';
    }
    Object.assign(Config.prototype, {
      [method](this: Config) {
        return { path: this.path };
      },
    });
    await start(from({ useClass: Config }));
  });
});
