import { Module } from '@nestjs/common';
import { RatesController } from './rates.controller.js';
import { RatesService } from './rates.service.js';
import { Upstream } from './upstream.js';

@Module({ controllers: [RatesController], providers: [RatesService, Upstream] })
export class RatesModule {}
