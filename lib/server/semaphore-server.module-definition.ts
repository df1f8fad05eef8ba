import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { SemaphoreServerOptions } from './server.options.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<SemaphoreServerOptions>({ moduleName: 'SemaphoreServer' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createSemaphoreServerOptions')
    .build();
