import { Controller, Get, Headers, Header } from '@nestjs/common';
import { Semaphore, SemaphoreService } from 'nestjs-semaphore';
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ArrivedAt } from './arrival.js';
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
  create(@ArrivedAt() arrivedAt: number, @Headers('x-request-id') id?: string): Promise<Run> {
    return this.runs.record(id ?? randomUUID(), arrivedAt, async () => {
      await delay(randomInt(300, 801));
    });
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
