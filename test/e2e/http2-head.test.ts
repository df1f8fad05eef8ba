import { once } from 'node:events';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Controller, Get, Module, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { expect, test } from '@jest/globals';
import { Semaphore, SemaphoreGuard, SemaphoreModule, SemaphoreService } from 'nestjs-semaphore';

const held: number[] = [];

@Controller()
class Reports {
  constructor(private readonly semaphores: SemaphoreService) {}

  @Get('decorated')
  @Semaphore({ key: 'k' })
  async decorated(): Promise<string> {
    return this.note();
  }

  @Get('guarded')
  @UseGuards(SemaphoreGuard)
  @Semaphore({ key: 'k' })
  async guarded(): Promise<string> {
    return this.note();
  }

  private async note(): Promise<string> {
    held.push((await this.semaphores.inspect('k')).held);
    return 'done';
  }
}

@Module({ imports: [SemaphoreModule.forRoot({ log: 'none' })], controllers: [Reports] })
class App {}

test('HEAD over HTTP/2 holds its permit while the handler works, and waits for it', async () => {
  const adapter = new FastifyAdapter({ http2: true } as object);
  const app = await NestFactory.create<NestFastifyApplication>(App, adapter, { logger: false });
  await app.listen(0, '127.0.0.1');
  const semaphores = app.get(SemaphoreService);
  const { port } = app.getHttpServer().address() as AddressInfo;
  const client = http2.connect(`http://127.0.0.1:${port}`);
  const head = async (path: string): Promise<unknown> => {
    const [answer] = await once(
      client.request({ ':method': 'HEAD', ':path': path }).resume(),
      'response',
    );
    return answer[':status'];
  };
  try {
    for (const path of ['/decorated', '/guarded']) {
      held.length = 0;
      expect(await head(path)).toBe(200);
      expect(held).toEqual([1]);
      const permit = await semaphores.acquire('k');
      const waiting = new Promise((resolve) =>
        semaphores.events.subscribe(({ type }) => type === 'waiting' && resolve(type)),
      );
      const answer = head(path);
      await waiting;
      await permit.release();
      expect(await answer).toBe(200);
      expect((await semaphores.inspect('k')).held).toBe(0);
    }
  } finally {
    client.close();
    await app.close();
  }
});
