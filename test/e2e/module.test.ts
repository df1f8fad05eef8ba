import {
  Controller,
  Get,
  Inject,
  Injectable,
  Logger,
  Module,
  type ModuleMetadata,
} from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  getSemaphoreToken,
  InjectSemaphore,
  InvalidOptionsError,
  MemorySemaphoreStore,
  NamedSemaphore,
  Semaphore,
  SemaphoreClosedError,
  SemaphoreGuard,
  SemaphoreInterceptor,
  SemaphoreModule,
  type SemaphoreModuleOptions,
  type SemaphoreOptionsFactory,
  SemaphoreService,
  SemaphoreStore,
} from 'nestjs-semaphore';
import { Redis } from 'ioredis';
import { SemaphoreDashboardModule } from 'nestjs-semaphore/dashboard';
import { SemaphoreServerModule } from 'nestjs-semaphore/server';
import { adapters, TestApp } from '../support/nest-app.js';

@Injectable()
class Jobs {
  @Semaphore()
  async run(): Promise<string> {
    return 'done';
  }
}

@Module({ providers: [Jobs], exports: [Jobs] })
class JobsModule {}

@Controller()
class Handlers {
  @Semaphore()
  @Get()
  handle(): string {
    return 'done';
  }
}

@Controller()
class Injecting {
  @Inject(SemaphoreGuard)
  readonly guard!: SemaphoreGuard;
}

const modules: TestingModule[] = [];

async function compile(...imports: NonNullable<Parameters<typeof Module>[0]['imports']>) {
  const testing = await Test.createTestingModule({ imports }).compile();
  modules.push(testing);
  return testing.init();
}

async function permitsOf(semaphores: SemaphoreService | undefined): Promise<number | undefined> {
  await using _permit = await semaphores?.acquire('k');
  return (await semaphores?.inspect('k'))?.permits;
}

afterEach(async () => {
  jest.restoreAllMocks();
  while (modules.length > 0) await modules.pop()?.close();
});

describe('SemaphoreModule.forRoot()', () => {
  it('provides the service to every module, in memory without options', async () => {
    const app = await compile(SemaphoreModule.forRoot(), JobsModule);
    expect(await app.get(Jobs, { strict: false }).run()).toBe('done');
    expect(await permitsOf(app.get(SemaphoreService))).toBe(1);
  });

  it('passes its options to the service', async () => {
    const store = new MemorySemaphoreStore();
    const root = SemaphoreModule.forRoot({ store, defaults: { permits: 4 }, isGlobal: true });
    const app = await compile(root);
    expect(await permitsOf(app.get(SemaphoreService))).toBe(4);
  });

  it('provides it only to importing modules when isGlobal is false', async () => {
    const root = SemaphoreModule.forRoot({ isGlobal: false });
    await expect(compile(root, JobsModule)).rejects.toThrow(/add SemaphoreModule\.forRoot\(\)/u);
    @Module({ imports: [root], providers: [Jobs] })
    class Importing {}
    const app = await compile(Importing);
    expect(await app.get(Jobs, { strict: false }).run()).toBe('done');
  });

  it('takes an isGlobal that is undefined for one that is not given', async () => {
    const options = { isGlobal: undefined } as unknown as { isGlobal: boolean };
    const app = await compile(SemaphoreModule.forRoot(options), JobsModule);
    expect(await app.get(Jobs, { strict: false }).run()).toBe('done');
  });

  it('lists isGlobal among the options that it takes', async () => {
    const root = SemaphoreModule.forRoot({ isGlobl: false } as object);
    await expect(compile(root)).rejects.toThrow(/Did you mean `isGlobal`\? There are redis, /u);
  });

  it('provides the store of the service, also when isGlobal is false', async () => {
    @Injectable()
    class Watch {
      constructor(readonly store: SemaphoreStore) {}
    }
    @Module({ imports: [SemaphoreModule.forRoot({ isGlobal: false })], providers: [Watch] })
    class Importing {}
    const app = await compile(Importing);
    expect(app.get(Watch, { strict: false }).store).toBeInstanceOf(MemorySemaphoreStore);
    expect(app.get(SemaphoreStore, { strict: false })).toBe(
      app.get(SemaphoreService, { strict: false }).store,
    );
  });

  it.each<[string, object, RegExp]>([
    ['both stores', { redis: 'redis://localhost', store: new MemorySemaphoreStore() }, /`store`/u],
    ['a prefix', { keyPrefix: '' }, /Expected `keyPrefix` to be a non-empty string.*got "" /u],
    [
      'defaults',
      { defaults: { permits: '3' } },
      /^SemaphoreModule\.forRoot(Async)?, defaults: Expected `permits` .*, got "3" \(string\)/u,
    ],
    ['an unknown option', { permits: 3 }, /Expected `permits` to be left out/u],
    ['a client of Redis as a store', { store: new Redis({ lazyConnect: true }) }, /as `redis`/u],
    ['a client of another package', { redis: { duplicate() {}, connect() {} } }, /ioredis/u],
    ['a store as redis', { redis: new MemorySemaphoreStore() }, /`redis` .* given as `store`/u],
    [
      'status codes',
      { statusCodes: { busy: 200 } },
      /, statusCodes: Expected `busy` .* got `200`/u,
    ],
  ])('fails at start-up for wrong options: %s', async (_what, options, message) => {
    const starting = compile(SemaphoreModule.forRoot(options));
    await expect(starting).rejects.toThrow(InvalidOptionsError);
    await expect(compile(SemaphoreModule.forRoot(options))).rejects.toThrow(message);
    const asynchronous = SemaphoreModule.forRootAsync({ useFactory: async () => options });
    await expect(compile(asynchronous)).rejects.toThrow(message);
  });
});

describe.each(adapters)('a wrong option of another module on $platform', ({ createAdapter }) => {
  it.each([
    [
      SemaphoreDashboardModule.forRoot({ path: '/' }),
      /^SemaphoreDashboardModule: Expected `path`/u,
    ],
    [SemaphoreServerModule.forRoot({ maxSessions: 0 }), /^SemaphoreServerModule: .*`maxSessions`/u],
    [
      SemaphoreServerModule.forRoot({ apiKeys: ['short'] }),
      /^SemaphoreServerModule: .*`apiKeys\[0\]/u,
    ],
  ])('is said to be one of it', async (module, message) => {
    await expect(TestApp.start(createAdapter, { imports: [module] })).rejects.toThrow(message);
  });
});

describe('several SemaphoreModules', () => {
  function warnings() {
    return jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  }

  it('are warned of when more than one is global', async () => {
    const warn = warnings();
    await compile(
      SemaphoreModule.forRoot(),
      SemaphoreModule.forRootAsync({ useFactory: () => ({}) }),
    );
    const text = /one of 2 SemaphoreModules .* Use one forRoot\(\) or forRootAsync\(\)/u;
    expect(warn.mock.calls).toEqual([[expect.stringMatching(text)], [expect.stringMatching(text)]]);
  });

  it('may be one for all and others for who imports them, or be told with `log` to be silent', async () => {
    const warn = warnings();
    const root = SemaphoreModule.forRoot();
    await compile(root, SemaphoreModule.forRoot({ isGlobal: false }), {
      module: JobsModule,
      imports: [root],
    });
    await compile(
      SemaphoreModule.forRoot({ log: 'none' }),
      SemaphoreModule.forRoot({ log: 'none' }),
    );
    expect(warn).not.toHaveBeenCalled();
  });
});

describe('SemaphoreModule.forRootAsync()', () => {
  @Injectable()
  class Config implements SemaphoreOptionsFactory {
    readonly permits: number = 5;

    async createSemaphoreOptions(): Promise<SemaphoreModuleOptions> {
      return { defaults: { permits: this.permits } };
    }
  }

  @Module({ providers: [Config], exports: [Config] })
  class ConfigModule {}

  it('takes options from useFactory', async () => {
    const root = SemaphoreModule.forRootAsync({
      imports: [ConfigModule],
      inject: [Config],
      useFactory: (config: Config) => ({ defaults: { permits: config.permits + 1 } }),
    });
    const app = await compile(root);
    expect(await permitsOf(app.get(SemaphoreService))).toBe(6);
    expect(app.get(SemaphoreStore)).toBe(app.get(SemaphoreService).store);
  });

  it('says that isGlobal is wrong, as forRoot() does', () => {
    const isGlobal = 'yes' as never;
    const rule = 'Expected `isGlobal` to be true or false';
    expect(() => SemaphoreModule.forRoot({ isGlobal })).toThrow(`SemaphoreModule.forRoot: ${rule}`);
    expect(() => SemaphoreModule.forRootAsync({ isGlobal, useFactory: () => ({}) })).toThrow(
      `SemaphoreModule.forRootAsync: ${rule}`,
    );
  });

  const given = new MemorySemaphoreStore();

  @Injectable()
  class StoreConfig implements SemaphoreOptionsFactory {
    constructor(private readonly store: SemaphoreStore) {}

    createSemaphoreOptions(): SemaphoreModuleOptions {
      return { store: this.store };
    }
  }

  it.each<[string, Parameters<typeof SemaphoreModule.forRootAsync>[0]]>([
    ['inject', { inject: [SemaphoreStore], useFactory: (store: SemaphoreStore) => ({ store }) }],
    [
      'inject, as an option',
      {
        inject: [{ token: SemaphoreStore, optional: true }],
        useFactory: (store: SemaphoreStore) => ({ store }),
      },
    ],
    ['useClass', { useClass: StoreConfig }],
  ])("takes the application's own SemaphoreStore by %s", async (_how, options) => {
    @Module({
      providers: [{ provide: SemaphoreStore, useValue: given }],
      exports: [SemaphoreStore],
    })
    class StoreModule {}
    const root = SemaphoreModule.forRootAsync({ imports: [StoreModule], ...options });
    expect((await compile(root)).get(SemaphoreService).store).toBe(given);
  });

  it('takes options from useClass', async () => {
    const root = SemaphoreModule.forRootAsync({ useClass: Config });
    const app = await compile(root, JobsModule);
    expect(await permitsOf(app.get(SemaphoreService))).toBe(5);
    expect(await app.get(Jobs, { strict: false }).run()).toBe('done');
  });

  it('takes options from useExisting', async () => {
    const root = SemaphoreModule.forRootAsync({ imports: [ConfigModule], useExisting: Config });
    expect(await permitsOf((await compile(root)).get(SemaphoreService))).toBe(5);
  });

  it.each([undefined, null, 'redis://localhost'])(
    'refuses %p as what useFactory returns',
    async (options) => {
      const root = SemaphoreModule.forRootAsync({ useFactory: () => options as never });
      await expect(compile(root)).rejects.toThrow(InvalidOptionsError);
      await expect(compile(root)).rejects.toThrow(
        /forRootAsync, what its factory returned: Expected `options` to be an object, got/u,
      );
    },
  );

  it.each([undefined, {}, { imports: [] }])(
    'refuses %p, without a source of options',
    (options) => {
      expect(() => SemaphoreModule.forRootAsync(options as never)).toThrow(
        /Expected `options` to be an object with useFactory \| useClass \| useExisting, got/u,
      );
    },
  );

  it('says what a class lacks that makes no options', async () => {
    class Wrong {}
    @Module({ providers: [Wrong], exports: [Wrong] })
    class WrongModule {}
    for (const source of [{ useClass: Wrong }, { imports: [WrongModule], useExisting: Wrong }]) {
      const root = SemaphoreModule.forRootAsync(source as never);
      await expect(compile(root)).rejects.toThrow(
        /forRootAsync, Wrong: Expected `createSemaphoreOptions` to be a function, got `undefined`/u,
      );
    }
  });

  it('says where isGlobal belongs, when the factory returns it', async () => {
    const root = SemaphoreModule.forRootAsync({
      useFactory: () => ({ isGlobal: false }) as object,
    });
    await expect(compile(root)).rejects.toThrow(
      /what its factory returned: Expected `isGlobal` to be left out: it belongs beside `useFactory`/u,
    );
  });

  it('is not global when isGlobal is false', async () => {
    const root = SemaphoreModule.forRootAsync({ isGlobal: false, useFactory: () => ({}) });
    await expect(compile(root, JobsModule)).rejects.toThrow(/SemaphoreModule\.forRoot\(\)/u);
  });
});

describe('SemaphoreModule.forFeature()', () => {
  @Injectable()
  class Reports {
    constructor(@InjectSemaphore('reports') readonly reports: NamedSemaphore) {}

    @InjectSemaphore('exports')
    readonly exports!: NamedSemaphore;
  }

  const feature = SemaphoreModule.forFeature([
    { name: 'reports', permits: 3, waitMs: 0 },
    { name: 'exports' },
  ]);

  @Module({ imports: [feature], providers: [Reports] })
  class ReportsModule {}

  const root = SemaphoreModule.forRoot({ defaults: { permits: 2, label: 'default' } });

  it('provides semaphores by name, with options between those of the module and of the call', async () => {
    const app = await compile(root, ReportsModule);
    const { reports, exports } = app.get(Reports, { strict: false });
    await using own = await reports.acquire();
    await using inherited = await exports.acquire({ label: 'call' });
    expect([own.key, own.label]).toEqual(['reports', 'default']);
    expect([inherited.key, inherited.label]).toEqual(['exports', 'call']);
    expect(await reports.inspect()).toMatchObject({ permits: 3, held: 1 });
    expect(await exports.inspect()).toMatchObject({ permits: 2, held: 1 });
    expect(app.get(getSemaphoreToken('reports'), { strict: false })).toBe(reports);
  });

  it('does not provide them to modules that do not import it', async () => {
    @Module({ providers: [Reports] })
    class Elsewhere {}
    await expect(compile(root, feature, Elsewhere)).rejects.toThrow(/SemaphoreModule\.forFeature/u);
  });

  it('checks names and options', () => {
    expect(() => SemaphoreModule.forFeature([{ name: '' }])).toThrow(
      /^SemaphoreModule\.forFeature: Expected `features\[0\]\.name` to be a non-empty string/u,
    );
    expect(() => SemaphoreModule.forFeature([{ name: 'a' }, 'b' as never])).toThrow(
      /forFeature: Expected `features\[1\]` to be an object with `name`, got "b" \(string\)/u,
    );
    expect(() => SemaphoreModule.forFeature([null as never])).toThrow(/`features\[0\]`/u);
    expect(() => SemaphoreModule.forFeature({ name: 'a' } as never)).toThrow(
      /forFeature: Expected `features` to be an array of named semaphores/u,
    );
    expect(() => SemaphoreModule.forFeature([{ name: 'a', permits: 1.5 }])).toThrow(
      /forFeature, "a": Expected `permits` to be a whole number >= 1, got `1\.5`/u,
    );
  });

  it('refuses a name that is given twice: one of two limits would be lost without a word', () => {
    const twice = [{ name: 'a' }, { name: 'b' }, { name: 'a', permits: 2 }];
    expect(() => SemaphoreModule.forFeature(twice)).toThrow(InvalidOptionsError);
    expect(() => SemaphoreModule.forFeature(twice)).toThrow(
      /forFeature: Expected `features\[2\]\.name` to be given once, got "a" \(string\)/u,
    );
  });

  it('takes a name again in another module', async () => {
    @Module({ imports: [SemaphoreModule.forFeature([{ name: 'reports' }, { name: 'exports' }])] })
    class Elsewhere {}
    const app = await compile(root, ReportsModule, Elsewhere);
    expect(await app.get(Reports, { strict: false }).reports.tryAcquire()).not.toBeNull();
  });
});

describe.each(adapters)('SemaphoreGuard of the application on $platform', ({ createAdapter }) => {
  it('can be had from it, and bound for all handlers', async () => {
    const app = await TestApp.start(createAdapter, { controllers: [Handlers] }, {}, (nest) =>
      nest
        .useGlobalGuards(nest.get(SemaphoreGuard))
        .useGlobalInterceptors(nest.get(SemaphoreInterceptor)),
    );
    expect(await (await fetch(app.url)).text()).toBe('done');
    expect(app.events.map(({ type }) => type)).toEqual(['acquired', 'released']);
    await app.close();
  });

  it('is there for handlers that have none', async () => {
    const app = await compile(SemaphoreModule.forRoot({ log: 'none' }));
    expect(app.get(SemaphoreGuard)).toBeInstanceOf(SemaphoreGuard);
    expect(app.get(SemaphoreInterceptor)).toBeInstanceOf(SemaphoreInterceptor);
  });
});

describe('without SemaphoreModule', () => {
  it.each<[string, ModuleMetadata]>([
    ['a provider', { providers: [Jobs] }],
    ['a controller', { controllers: [Handlers] }],
    ['the guard', { controllers: [Injecting], providers: [SemaphoreGuard] }],
    ['a named semaphore', { imports: [SemaphoreModule.forFeature([{ name: 'reports' }])] }],
  ])('%s fails at start-up, and says what to import', async (_what, metadata) => {
    await expect(Test.createTestingModule(metadata).compile()).rejects.toThrow(
      'SemaphoreService, provided by SemaphoreModule: add SemaphoreModule.forRoot() to the imports of your AppModule. ' +
        'If it is there, its `isGlobal` is false, or a second copy of nestjs-semaphore is installed',
    );
  });
});

describe('SemaphoreService, overridden in a test', () => {
  async function compileWith(service: object): Promise<TestingModule> {
    const testing = await Test.createTestingModule({
      imports: [SemaphoreModule.forRoot({ redis: 'redis://nowhere.invalid' }), JobsModule],
    })
      .overrideProvider(SemaphoreService)
      .useValue(service)
      .compile();
    modules.push(testing);
    return testing.init();
  }

  it('serves decorated methods, and is closed', async () => {
    const semaphores = new SemaphoreService({ log: 'none' });
    const app = await compileWith(semaphores);
    expect(await app.get(Jobs, { strict: false }).run()).toBe('done');
    await app.close();
    await expect(semaphores.acquire('k')).rejects.toThrow(SemaphoreClosedError);
  });

  it.each([
    ['a double with one method', { acquire: () => undefined }],
    ['a mock that answers to every property', autoMock()],
  ])('says what it should be when it is %s', async (_what, double) => {
    const error = jest.spyOn(Logger, 'error').mockImplementation(() => undefined);
    const app = await compileWith(double);
    await expect(app.get(Jobs, { strict: false }).run()).rejects.toThrow(
      /a SemaphoreService: in tests, override the provider with a real one, such as `new SemaphoreService\(\)`/u,
    );
    await app.close();
    expect(error).not.toHaveBeenCalled();
  });
});

describe('SemaphoreStore, overridden in a test', () => {
  const options = { redis: 'redis://nowhere.invalid', log: 'none' } as const;

  it.each([
    ['forRoot', SemaphoreModule.forRoot(options)],
    ['forRootAsync', SemaphoreModule.forRootAsync({ useFactory: () => options })],
  ])('is that of the service of %s', async (_method, root) => {
    const store = new MemorySemaphoreStore();
    const testing = await Test.createTestingModule({ imports: [root, JobsModule] })
      .overrideProvider(SemaphoreStore)
      .useValue(store)
      .compile();
    modules.push(testing);
    const app = await testing.init();
    expect(app.get(SemaphoreService).store).toBe(store);
    expect(await app.get(Jobs, { strict: false }).run()).toBe('done');
  });
});

/** As libraries for tests make them: whatever is read is a function, which returns such a mock. */
function autoMock(): object {
  const get = (_target: object, property: string | symbol): unknown =>
    property === 'then' ? undefined : autoMock;
  return new Proxy({}, { get });
}

describe('in production', () => {
  const { NODE_ENV } = process.env;

  afterEach(() => {
    process.env['NODE_ENV'] = NODE_ENV;
  });

  async function warnings(env: string, options: SemaphoreModuleOptions): Promise<unknown[]> {
    process.env['NODE_ENV'] = env;
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await compile(SemaphoreModule.forRoot(options), JobsModule);
    return warn.mock.calls.map(([message]) => message as unknown);
  }

  it('warns once of the in-memory store', async () => {
    expect(await warnings('production', {})).toEqual([
      expect.stringMatching(/limit nothing across instances.*`redis` or a `store`/u),
    ]);
  });

  it.each<[string, string, SemaphoreModuleOptions]>([
    ['elsewhere', 'development', {}],
    ['with a store', 'production', { store: new MemorySemaphoreStore() }],
    ['when nothing is to be logged', 'production', { log: 'none' }],
  ])('does not warn %s', async (_when, env, options) => {
    expect(await warnings(env, options)).toEqual([]);
  });
});

describe('at start', () => {
  async function logged(options: SemaphoreModuleOptions): Promise<unknown[]> {
    const log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    await compile(SemaphoreModule.forRoot(options));
    return log.mock.calls
      .map(([message]) => message as string)
      .filter((message) => message.startsWith('Semaphores in '));
  }

  it.each<[string, SemaphoreModuleOptions]>([
    ['the memory of this process', {}],
    ['MemorySemaphoreStore', { store: new MemorySemaphoreStore() }],
    [
      'Redis 127.0.0.1:1/2 (prefix mine)',
      { redis: 'redis://me:secret@127.0.0.1:1/2', keyPrefix: 'mine' },
    ],
  ])('says once where the semaphores are: %s', async (where, options) => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    expect(await logged(options)).toEqual([`Semaphores in ${where}`]);
  });

  it('says nothing when nothing is to be logged', async () => {
    expect(await logged({ log: 'none' })).toEqual([]);
  });
});

describe.each(adapters)('two applications in one process on $platform', ({ createAdapter }) => {
  it('have semaphores of their own', async () => {
    const metadata = { controllers: [Handlers], providers: [Jobs] };
    const [one, two] = [
      await TestApp.start(createAdapter, metadata),
      await TestApp.start(createAdapter, metadata),
    ];
    await using _permit = await one.semaphores.acquire('Jobs.run');
    expect(await two.app.get(Jobs).run()).toBe('done');
    await two.expectFreed('Jobs.run');
    expect(await (await two.fetch('/')).text()).toBe('done');
    await two.close();
    expect(await (await one.fetch('/')).text()).toBe('done');
    await one.expectFreed('Handlers.handle');
    await one.close();
  });
});
