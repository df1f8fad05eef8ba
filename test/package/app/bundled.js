import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createRequire } from 'node:module';
import { ExpressAdapter } from '@nestjs/platform-express';
import { SemaphoreModule, SemaphoreService } from 'nestjs-semaphore';
import { SemaphoreDashboardModule } from 'nestjs-semaphore/dashboard';

class AppModule {}

Module({
  imports: [
    SemaphoreModule.forRoot({ redis: process.env.REDIS_URL, log: 'none' }),
    SemaphoreDashboardModule.forRoot({ authorize: () => true }),
  ],
})(AppModule);

/** Whether the package finds the OpenTelemetry that is installed where the bundle runs. */
let hasTelemetry = false;
const { createNoopMeter, metrics } = createRequire(process.argv[1])('@opentelemetry/api');
metrics.setGlobalMeterProvider({
  getMeter() {
    hasTelemetry = true;
    return createNoopMeter();
  },
});

async function main() {
  const app = await NestFactory.create(AppModule, new ExpressAdapter(), { logger: ['error'] });
  await app.listen(0, '127.0.0.1');
  const { status, headers } = await fetch(`${await app.getUrl()}/semaphores/style.css`);
  const token = await app.get(SemaphoreService).withPermit('k', (permit) => permit.fencingToken);
  await app.close();
  console.log(JSON.stringify({ status, type: headers.get('content-type'), token, hasTelemetry }));
}

void main();
