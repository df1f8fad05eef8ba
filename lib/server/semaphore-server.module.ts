import {
  type BeforeApplicationShutdown,
  type DynamicModule,
  Inject,
  Logger,
  type MiddlewareConsumer,
  Module,
  type NestModule,
  Optional,
} from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import { type OptionsFactory, requireSource, withCheckedFactory } from '../async-options.js';
import { mountHandler, mountPath, normalisePath } from '../http/nest-mount.js';
import { checkedAt } from '../option-rules.js';
import { SemaphoreService } from '../semaphore.service.js';
import { type MountableServer, openServer } from './semaphore-server.js';
import {
  ASYNC_OPTIONS_TYPE,
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  OPTIONS_TYPE,
} from './semaphore-server.module-definition.js';
import { resolveServerOptions, type SemaphoreServerOptions } from './server.options.js';

const WHERE = 'SemaphoreServerModule';

const FACTORY: OptionsFactory = {
  where: 'SemaphoreServerModule.forRootAsync',
  token: MODULE_OPTIONS_TOKEN,
  method: 'createSemaphoreServerOptions',
};

/** What `useClass` and `useExisting` of `SemaphoreServerModule.forRootAsync()` implement. */
export interface SemaphoreServerOptionsFactory {
  /** Called once, when the application starts. */
  createSemaphoreServerOptions(): SemaphoreServerOptions | Promise<SemaphoreServerOptions>;
}

/**
 * The lock server in an application: serves the semaphores of its SemaphoreModule over HTTP, on Express and Fastify, at
 * `path`, behind the global prefix when there is one. Guards, pipes and interceptors of the application do not apply to it.
 */
@Module({})
export class SemaphoreServerModule
  extends ConfigurableModuleClass
  implements NestModule, BeforeApplicationShutdown
{
  private readonly semaphores: SemaphoreService;
  private server: MountableServer | undefined;

  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) private readonly options: SemaphoreServerOptions,
    @Optional() @Inject(SemaphoreService) semaphores: SemaphoreService | undefined,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
  ) {
    super();
    if (semaphores === undefined) {
      throw new Error(
        'SemaphoreServerModule serves the semaphores of SemaphoreModule: import SemaphoreModule.forRoot() too',
      );
    }
    this.semaphores = semaphores;
  }

  /**
   * The server, behind `path`. Needs `SemaphoreModule` in the application.
   * @throws {InvalidOptionsError} when the application starts
   */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  /**
   * Options that come from elsewhere: `useFactory` with `inject`, or {@link SemaphoreServerOptionsFactory} by `useClass` or `useExisting`.
   * @throws {InvalidOptionsError} none of them is given; for the options when the application starts
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    requireSource(FACTORY.where, options);
    return withCheckedFactory(options, super.forRootAsync(options), FACTORY);
  }

  /** Called by Nest: mounts the server. */
  configure(consumer: MiddlewareConsumer): void {
    // Without a default: what a factory forgot to return must not become a server without keys.
    const options = checkedAt(WHERE, () => resolveServerOptions(this.options));
    const { path } = options;
    const { semaphores, config } = this;
    const basePath = (): string => mountPath(config, path);
    // Without a path of its own it shares the global prefix with the application.
    const isBaseShared = normalisePath(path) === '';
    this.server = checkedAt(WHERE, () =>
      openServer({ semaphores, basePath, isBaseShared }, options),
    );
    if (this.server.isLoopbackOnly) {
      new Logger(SemaphoreServerModule.name).warn(
        'The lock server has no `apiKeys`: it serves only requests from this machine.',
      );
    }
    mountHandler(consumer, this.server.handler, path, this.adapterHost);
  }

  /** Called by Nest: sends away who waits, and closes all streams. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.server?.close();
  }
}
