import { Module } from '@nestjs/common';
import { ReportsModule } from '../reports/reports.module.js';
import { DemoController } from './demo.controller.js';

@Module({ imports: [ReportsModule], controllers: [DemoController] })
export class DemoModule {}
