/* global require, test, expect */
const { NestFactory } = require('@nestjs/core');
const { SemaphoreService, SingleFlightService } = require('nestjs-semaphore');
const { RemoteSemaphoreStore } = require('nestjs-semaphore/client');
const { SemaphoreDashboardModule } = require('nestjs-semaphore/dashboard');
const { SemaphoreServerModule } = require('nestjs-semaphore/server');
const { VirtualClock } = require('nestjs-semaphore/testing');
const { AppModule } = require('./dist/app.module.js');

test('the application runs, and every entry point of the package loads', async () => {
  for (const entry of [
    RemoteSemaphoreStore,
    SemaphoreDashboardModule,
    SemaphoreServerModule,
    VirtualClock,
  ]) {
    expect(entry).toBeInstanceOf(Function);
  }
  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  const work = () => app.get(SingleFlightService).run('flight', () => new Date(0));
  expect(await app.get(SemaphoreService).withPermit('work', work)).toEqual(new Date(0));
  await app.close();
});
