import { Controller, Get, Header } from '@nestjs/common';
import { Semaphore, SemaphoreService } from 'nestjs-semaphore';
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { REPORT_MS } from '../config.js';
import { type Arrival, RequestArrival } from './arrival.js';
import { type Run, RunLog } from './run-log.js';

/** At most 3 reports at once, over all instances. Whoever has waited for 8 s is told to come back later. */
export const REPORTS = { key: 'reports', permits: 3, waitMs: 8_000, maxWaiting: 200 };

@Controller('reports')
export class ReportsController {
  constructor(
    private readonly runs: RunLog,
    private readonly semaphores: SemaphoreService,
  ) {}

  @Get()
  @Header('Cache-Control', 'no-store')
  @Semaphore(REPORTS)
  create(@RequestArrival() { id, at }: Arrival): Promise<Run> {
    return this.runs.run(id, at, () => delay(REPORT_MS ?? randomInt(300, 801)));
  }

  /** What this process has done, for whoever wants to check the limit. */
  @Get('runs')
  list(): readonly Run[] {
    return this.runs.finished;
  }

  /** What all instances do now. */
  @Get('status')
  async status(): Promise<{ permits: number; held: number; waiting: number }> {
    const { held, waiters } = await this.semaphores.inspect(REPORTS.key);
    return { permits: REPORTS.permits, held, waiting: waiters.length };
  }
}
