import { Controller, Get, Header, Param } from '@nestjs/common';
import { RatesService } from './rates.service.js';
import { type Rate, Upstream } from './upstream.js';

@Controller('rates')
export class RatesController {
  constructor(
    private readonly rates: RatesService,
    private readonly upstream: Upstream,
  ) {}

  /** What it has cost: how often this process has asked upstream. */
  @Get('upstream')
  @Header('Cache-Control', 'no-store')
  calls(): { calls: number } {
    return { calls: this.upstream.calls };
  }

  @Get(':pair')
  @Header('Cache-Control', 'no-store')
  get(@Param('pair') pair: string): Promise<Rate> {
    return this.rates.get(pair.toUpperCase());
  }
}
