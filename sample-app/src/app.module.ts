import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { SemaphoreModule } from 'nestjs-semaphore';
import { SemaphoreDashboardModule } from 'nestjs-semaphore/dashboard';
import { REDIS_URL } from './config.js';
import { DemoModule } from './demo/demo.module.js';
import { DigestModule } from './digest/digest.module.js';
import { ExportsController } from './exports/exports.controller.js';
import { PaymentsModule } from './payments/payments.module.js';
import { RatesModule } from './rates/rates.module.js';
import { ReportsModule } from './reports/reports.module.js';
import { ThumbnailsModule } from './thumbnails/thumbnails.module.js';

@Module({
  imports: [
    SemaphoreModule.forRoot({ redis: REDIS_URL }),
    SemaphoreDashboardModule.forRoot(),
    ScheduleModule.forRoot(),
    ReportsModule,
    PaymentsModule,
    ThumbnailsModule,
    DigestModule,
    RatesModule,
    DemoModule,
  ],
  controllers: [ExportsController],
})
export class AppModule {}
