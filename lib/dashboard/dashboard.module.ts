import {
  type DynamicModule,
  Inject,
  Logger,
  type MiddlewareConsumer,
  Module,
  type NestModule,
  type OnModuleDestroy,
  Optional,
} from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import { type OptionsFactory, requireSource, withCheckedFactory } from '../async-options.js';
import { mountHandler, mountPath } from '../http/nest-mount.js';
import { checkedAt } from '../option-rules.js';
import { SemaphoreService } from '../semaphore.service.js';
import { Dashboard } from './dashboard.js';
import {
  ASYNC_OPTIONS_TYPE,
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  OPTIONS_TYPE,
} from './dashboard.module-definition.js';
import {
  type ResolvedDashboardOptions,
  resolveDashboardOptions,
  type SemaphoreDashboardOptions,
} from './dashboard.options.js';

const FACTORY: OptionsFactory = {
  where: 'SemaphoreDashboardModule.forRootAsync',
  token: MODULE_OPTIONS_TOKEN,
  method: 'createSemaphoreDashboardOptions',
};

/** What `useClass` and `useExisting` of `SemaphoreDashboardModule.forRootAsync()` implement. */
export interface SemaphoreDashboardOptionsFactory {
  /** Called once, when the application starts. */
  createSemaphoreDashboardOptions(): SemaphoreDashboardOptions | Promise<SemaphoreDashboardOptions>;
}

/** A live page of the semaphores of `SemaphoreModule`, on Express and Fastify. */
@Module({})
export class SemaphoreDashboardModule
  extends ConfigurableModuleClass
  implements NestModule, OnModuleDestroy
{
  private readonly options: ResolvedDashboardOptions;
  private readonly dashboard: Dashboard;

  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) options: SemaphoreDashboardOptions,
    @Optional() @Inject(SemaphoreService) service: SemaphoreService | undefined,
    config: ApplicationConfig,
    private readonly adapterHost: HttpAdapterHost,
  ) {
    super();
    if (service === undefined) {
      throw new Error(
        'SemaphoreDashboardModule shows the semaphores of SemaphoreModule: import SemaphoreModule.forRoot() too',
      );
    }
    // Without a default: what a factory forgot to return must not become a page for everybody.
    this.options = checkedAt('SemaphoreDashboardModule', () => resolveDashboardOptions(options));
    const { path } = this.options;
    const logger = new Logger('SemaphoreDashboard');
    this.dashboard = new Dashboard(service, this.options, logger, () => mountPath(config, path));
  }

  /**
   * The page, at `path`. Needs `SemaphoreModule` in the application.
   * @throws {InvalidOptionsError} when the application starts
   */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  /**
   * Options that come from elsewhere: `useFactory` with `inject`, or {@link SemaphoreDashboardOptionsFactory} by `useClass` or `useExisting`.
   * @throws {InvalidOptionsError} none of them is given; for the options when the application starts
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    requireSource(FACTORY.where, options);
    return withCheckedFactory(options, super.forRootAsync(options), FACTORY);
  }

  /** Called by Nest: mounts the page. */
  configure(consumer: MiddlewareConsumer): void {
    mountHandler(consumer, this.dashboard.handler, this.options.path, this.adapterHost);
  }

  /** Before the server waits for its connections: open pages would keep it from closing. */
  onModuleDestroy(): void {
    this.dashboard.close();
  }
}
