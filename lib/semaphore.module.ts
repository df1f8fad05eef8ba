import { type DynamicModule, Logger, Module, type Provider } from '@nestjs/common';
import { APP_FILTER, ModulesContainer } from '@nestjs/core';
import 'reflect-metadata';
import { type OptionsFactory, requireSource, withCheckedFactory } from './async-options.js';
import { NamedSemaphore } from './named-semaphore.js';
import { getSemaphoreToken } from './nest/inject-semaphore.js';
import { SEMAPHORE_SERVICE } from './nest/semaphore.definition.js';
import { SemaphoreExceptionFilter } from './nest/semaphore-exception.filter.js';
import { SemaphoreGuard } from './nest/semaphore.guard.js';
import { SemaphoreHealthIndicator } from './nest/semaphore.health-indicator.js';
import { SemaphoreInterceptor } from './nest/semaphore.interceptor.js';
import { SemaphoreLifecycle } from './nest/semaphore.lifecycle.js';
import {
  ASYNC_OPTIONS_TYPE,
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  OPTIONS_TYPE,
} from './semaphore.module-definition.js';
import { checkedAt, flag, isObject, merge, requireObject } from './option-rules.js';
import { type ResolvedModuleOptions, resolveModuleOptions } from './resolve-module-options.js';
import { validateKey, validateOptions } from './resolve-options.js';
import { InvalidOptionsError } from './semaphore.errors.js';
import type { SemaphoreDefaults, SemaphoreModuleOptions } from './semaphore.options.js';
import { SemaphoreService } from './semaphore.service.js';
import { SingleFlightService } from './single-flight/single-flight.service.js';
import { createStore } from './store/create-store.js';
import { MemorySemaphoreStore } from './store/memory/memory.semaphore-store.js';
import { requireIoredis } from './store/redis/redis.connection.js';
import { describeRedis } from './store/redis/redis.description.js';
import { RedisSemaphoreStore } from './store/redis/redis.semaphore-store.js';
import { SemaphoreStore } from './store/semaphore-store.js';

/** A semaphore with a name and options of its own. The name is its key. */
export interface SemaphoreFeature extends SemaphoreDefaults {
  /** For `@InjectSemaphore(name)`; 512 bytes at most, as every key. */
  name: string;
}

/** What `useClass` and `useExisting` of `SemaphoreModule.forRootAsync()` implement. */
export interface SemaphoreOptionsFactory {
  /** Called once, when the application starts. */
  createSemaphoreOptions(): SemaphoreModuleOptions | Promise<SemaphoreModuleOptions>;
}

const IS_GLOBAL = { isGlobal: flag };

const FACTORY: OptionsFactory = {
  where: 'SemaphoreModule.forRootAsync',
  token: MODULE_OPTIONS_TOKEN,
  method: 'createSemaphoreOptions',
};

const PROVIDERS: Provider[] = [
  {
    provide: SingleFlightService,
    useFactory: (semaphores: SemaphoreService) => new SingleFlightService(semaphores),
    inject: [SemaphoreService],
  },
  // What forFeature asks for: where it is missing, Nest's own message shows what the symbol says.
  { provide: SEMAPHORE_SERVICE, useExisting: SemaphoreService },
  SemaphoreLifecycle,
  SemaphoreHealthIndicator,
  SemaphoreExceptionFilter,
  SemaphoreGuard,
  SemaphoreInterceptor,
  { provide: APP_FILTER, useExisting: SemaphoreExceptionFilter },
];

/** Stands for SemaphoreStore where the application has a provider of that name, of which its options are made. */
const STORE_OF_OPTIONS = Symbol('nestjs-semaphore:store');

/** Provides SemaphoreService and `@Semaphore()`, SingleFlightService and `@SingleFlight()`, and the SemaphoreStore, to the whole application unless `isGlobal` is false. */
@Module({})
export class SemaphoreModule extends ConfigurableModuleClass {
  /**
   * The semaphores of an application, once in the imports of its AppModule. Without `redis` and `store` they live in the
   * memory of the process.
   * @throws {InvalidOptionsError} for `isGlobal`; for the other options when the application starts
   * @example SemaphoreModule.forRoot({ redis: process.env.REDIS_URL })
   */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    checkGlobal('SemaphoreModule.forRoot', options);
    return compose(super.forRoot(options), checkForRoot, SemaphoreStore);
  }

  /**
   * Options that come from elsewhere: `useFactory` with `inject`, or {@link SemaphoreOptionsFactory} by `useClass` or `useExisting`.
   * @throws {InvalidOptionsError} none of them is given, or for `isGlobal`; for the other options when the application starts
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    requireSource(FACTORY.where, options);
    checkGlobal(FACTORY.where, options);
    const definition = withCheckedFactory(options, super.forRootAsync(options), FACTORY);
    // Whose options are made of a SemaphoreStore provides it: ours would be made of itself.
    const isStoreGiven = dependenciesOf(options).includes(SemaphoreStore);
    const store = isStoreGiven ? STORE_OF_OPTIONS : SemaphoreStore;
    return compose(definition, checkForRootAsync, store);
  }

  /**
   * Named semaphores, for `@InjectSemaphore(name)` in the module that imports this. Needs a `forRoot` that is global.
   * @throws {InvalidOptionsError}
   */
  static forFeature(features: readonly SemaphoreFeature[]): DynamicModule {
    checkedAt('SemaphoreModule.forFeature', () => checkFeatures(features));
    const providers = features.map(({ name, ...options }): Provider => {
      checkedAt(`SemaphoreModule.forFeature, "${name}"`, () => validateOptions(options));
      return {
        provide: getSemaphoreToken(name),
        useFactory: (service: SemaphoreService) => new NamedSemaphore(service, name, options),
        inject: [SEMAPHORE_SERVICE],
      };
    });
    return { module: SemaphoreModule, providers, exports: providers };
  }
}

function checkFeatures(features: unknown): void {
  if (!Array.isArray(features)) {
    throw new InvalidOptionsError('features', features, 'an array of named semaphores');
  }
  const names = new Set<string>();
  for (const [index, feature] of features.entries()) {
    const place = `features[${index}]`;
    if (!isObject(feature) || Array.isArray(feature)) {
      throw new InvalidOptionsError(place, feature, 'an object with `name`');
    }
    const { name } = feature as { name?: unknown };
    validateKey(name, `${place}.name`);
    if (names.has(name)) throw new InvalidOptionsError(`${place}.name`, name, 'given once');
    names.add(name);
  }
}

/** Here, as Nest's builder takes it out of what the service gets. */
function checkGlobal(where: string, options: { isGlobal?: boolean }): void {
  checkedAt(where, () => {
    requireObject(options);
    merge({}, IS_GLOBAL, [{ isGlobal: options.isGlobal }]);
  });
}

/** What Nest looks for in this module first, to make the options. */
function dependenciesOf({ inject = [], useClass }: typeof ASYNC_OPTIONS_TYPE): unknown[] {
  const ofClass: unknown = useClass && Reflect.getMetadata('design:paramtypes', useClass);
  const ofFactory = inject.map((token) =>
    typeof token === 'object' && 'token' in token ? token.token : token,
  );
  return [...ofFactory, ...(Array.isArray(ofClass) ? (ofClass as unknown[]) : [])];
}

/** Checks the options of one way of importing the module. @throws {InvalidOptionsError} */
type OptionsCheck = (options: SemaphoreModuleOptions) => ResolvedModuleOptions;

/** @param store the token of the store that the service uses */
function compose(
  definition: DynamicModule,
  check: OptionsCheck,
  store: typeof SemaphoreStore | symbol,
): DynamicModule {
  const providers: Provider[] = [
    {
      provide: store,
      useFactory: (options: SemaphoreModuleOptions) => createCheckedStore(check(options)),
      inject: [MODULE_OPTIONS_TOKEN],
    },
    {
      provide: SemaphoreService,
      useFactory: (
        options: SemaphoreModuleOptions,
        used: SemaphoreStore,
        modules: ModulesContainer,
      ) => {
        const checked = check(options);
        logStart(checked, used, modules);
        return new SemaphoreService({ ...checked, redis: undefined, store: used });
      },
      inject: [MODULE_OPTIONS_TOKEN, store, ModulesContainer],
    },
  ];
  return {
    ...definition,
    providers: [...(definition.providers ?? []), ...providers, ...PROVIDERS],
    exports: [
      store,
      SemaphoreService,
      SingleFlightService,
      SemaphoreHealthIndicator,
      SemaphoreExceptionFilter,
      SemaphoreGuard,
      SemaphoreInterceptor,
      MODULE_OPTIONS_TOKEN,
      SEMAPHORE_SERVICE,
    ],
  };
}

/** The options may have an `isGlobal`: who misspelt it is told so. */
const checkForRoot: OptionsCheck = (options) =>
  checkedAt('SemaphoreModule.forRoot', () => resolveModuleOptions(options, IS_GLOBAL));

const checkForRootAsync: OptionsCheck = (options) => {
  checkedAt('SemaphoreModule.forRootAsync, what its factory returned', () => {
    // What a factory forgot to return must not become semaphores in memory.
    requireObject(options);
    const { isGlobal } = options as { isGlobal?: unknown };
    if (isGlobal === undefined) return;
    const rule = 'left out: it belongs beside `useFactory`, in the options of forRootAsync';
    throw new InvalidOptionsError('isGlobal', isGlobal, rule);
  });
  return checkedAt('SemaphoreModule.forRootAsync', () => resolveModuleOptions(options));
};

async function createCheckedStore(options: ResolvedModuleOptions): Promise<SemaphoreStore> {
  if (options.redis !== undefined) await requireIoredis(options.redis);
  return createStore(options);
}

function logStart(
  options: ResolvedModuleOptions,
  used: SemaphoreStore,
  modules: ModulesContainer,
): void {
  if (options.log.level === 'none') return;
  logStore(options, used);
  warnOfSeveral(modules);
}

/** @param used what a test may have put in the place of what the options ask for */
function logStore({ redis, store, keyPrefix }: ResolvedModuleOptions, used: SemaphoreStore): void {
  const logger = new Logger(SemaphoreModule.name);
  if (redis !== undefined && used instanceof RedisSemaphoreStore) {
    logger.log(`Semaphores in ${describeRedis(redis)} (prefix ${keyPrefix})`);
  } else if (store !== undefined || !(used instanceof MemorySemaphoreStore)) {
    logger.log(`Semaphores in ${used.constructor.name}`);
  } else if (process.env['NODE_ENV'] === 'production') {
    logger.warn(
      'Semaphores live in the memory of this process: they limit nothing across instances. ' +
        'Give SemaphoreModule a `redis` or a `store`.',
    );
  } else {
    logger.log('Semaphores in the memory of this process');
  }
}

/** Each says so of itself: which limits hold in a module that imports none of them depends on the order of imports. */
function warnOfSeveral(modules: ModulesContainer): void {
  const several = [...modules.values()].filter(
    ({ isGlobal, metatype }) => isGlobal && metatype === SemaphoreModule,
  );
  if (several.length < 2) return;
  new Logger(SemaphoreModule.name).warn(
    `This is one of ${several.length} SemaphoreModules that are global, each with limits of its own. ` +
      'Use one forRoot() or forRootAsync(), in the imports of your AppModule.',
  );
}
