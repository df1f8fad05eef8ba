import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { AppModule } from './app.module.js';
import { PORT, REDIS_URL } from './config.js';

const app = await NestFactory.create<NestExpressApplication>(AppModule);
app.enableShutdownHooks(['SIGINT', 'SIGTERM'], { useProcessExit: true });
app.useStaticAssets(fileURLToPath(new URL('../public', import.meta.url)), {
  setHeaders: (response) => response.setHeader('Content-Security-Policy', "default-src 'self'"),
});
await app.listen(PORT);

const { port } = app.getHttpServer().address() as AddressInfo;
const store = REDIS_URL === undefined ? 'in the memory of this process' : 'on Redis';
new Logger('Sample').log(`Semaphores live ${store}. Open http://localhost:${port}`);
