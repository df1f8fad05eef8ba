import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type Permit, SemaphoreModule, SemaphoreService } from 'nestjs-semaphore';
import * as testing from 'nestjs-semaphore/testing';
import { bound } from './exports.js';

const redis = process.env['REDIS_URL'];

@Injectable()
class Reports {
  constructor(private readonly semaphores: SemaphoreService) {}

  build(): Promise<{ token: number; degraded: boolean }> {
    return this.semaphores.withPermit('k', describe, { permits: 2, leaseMs: 5_000 });
  }
}

@Module({
  imports: [SemaphoreModule.forRoot(redis === undefined ? {} : { redis })],
  providers: [Reports],
})
class AppModule {}

function describe(permit: Permit): { token: number; degraded: boolean } {
  return { token: permit.fencingToken, degraded: permit.degraded };
}

/** Ends without process.exit: nothing of the library may keep the process alive. */
async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
  const result = await app.get(Reports).build();
  await app.close();
  const doubled = await bound(21);
  console.log(JSON.stringify({ ...result, doubled, testingExports: Object.keys(testing) }));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
