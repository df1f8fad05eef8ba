import { Controller, type ExecutionContext, Get, Param } from '@nestjs/common';
import type { Request } from 'express';
import { Semaphore } from 'nestjs-semaphore';
import { setTimeout as delay } from 'node:timers/promises';

const WORK_MS = 500;

/** Each tenant has 2 exports of its own, and is told at once when both are busy. */
@Controller('tenants/:tenant/export')
export class ExportsController {
  @Get()
  @Semaphore({ key: tenantKey, permits: 2, waitMs: 0 })
  async export(@Param('tenant') tenant: string): Promise<{ tenant: string; rows: number }> {
    await delay(WORK_MS);
    return { tenant, rows: tenant.length * 100 };
  }
}

function tenantKey(context: ExecutionContext): string {
  const { params } = context.switchToHttp().getRequest<Request<{ tenant: string }>>();
  return `export:${params.tenant}`;
}
