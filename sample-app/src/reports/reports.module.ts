import { type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common';
import { ArrivalMiddleware } from './arrival.js';
import { ReportsController } from './reports.controller.js';
import { RunLog } from './run-log.js';

@Module({ controllers: [ReportsController], providers: [RunLog], exports: [RunLog] })
export class ReportsModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(ArrivalMiddleware).forRoutes(ReportsController);
  }
}
