import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
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

async function main() {
  const app = await NestFactory.create(AppModule, new ExpressAdapter(), { logger: ['error'] });
  await app.listen(0, '127.0.0.1');
  const { status, headers } = await fetch(`${await app.getUrl()}/semaphores/style.css`);
  const token = await app.get(SemaphoreService).withPermit('k', (permit) => permit.fencingToken);
  await app.close();
  console.log(JSON.stringify({ status, type: headers.get('content-type'), token }));
}

void main();
