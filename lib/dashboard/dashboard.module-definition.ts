import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { SemaphoreDashboardOptions } from './dashboard.options.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<SemaphoreDashboardOptions>({ moduleName: 'SemaphoreDashboard' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createSemaphoreDashboardOptions')
    .build();
