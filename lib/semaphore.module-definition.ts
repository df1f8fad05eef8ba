import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { SemaphoreModuleOptions } from './semaphore.options.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<SemaphoreModuleOptions>({ moduleName: 'Semaphore' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createSemaphoreOptions')
    .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({
      ...definition,
      // An option that is undefined is one that is not given.
      global: isGlobal ?? true,
    }))
    .build();
