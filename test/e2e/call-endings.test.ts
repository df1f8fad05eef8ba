import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  type NestInterceptor,
  Query,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Observable, retry, timeout } from 'rxjs';
import { byArgs, Semaphore, SemaphoreService } from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';
import { pollUntil } from '../support/redis-admin.js';

let app: TestApp | undefined;
let slow: Gate;
let working: Gate;
let ran: string[];

beforeEach(() => {
  [slow, working] = [new Gate(), new Gate()];
  ran = [];
});

afterEach(async () => {
  slow.pass();
  working.pass();
  await app?.close();
  app = undefined;
});

/** The method is called again while its first call still waits. */
class TriesAgain implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(timeout(150), retry(3));
  }
}

@Injectable()
class UsesTheKey implements NestInterceptor {
  constructor(private readonly semaphores: SemaphoreService) {}

  async intercept(_context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    await this.semaphores.use('used', { permits: 2 });
    return next.handle();
  }
}

@Controller()
class Handlers {
  @Get('slow')
  async slow(): Promise<string> {
    await slow.stop();
    return 'slow';
  }

  @Semaphore({ key: 'queued', waitMs: 20_000 })
  @Get('queued')
  queued(): string {
    ran.push('queued');
    return 'queued';
  }

  @Semaphore({ key: 'file' })
  @Get('file')
  async file(): Promise<StreamableFile> {
    await working.stop();
    ran.push('file');
    return new StreamableFile(Readable.from([Buffer.alloc(10)]));
  }

  @UseInterceptors(TriesAgain)
  @Semaphore({ key: byArgs((key: string) => key), permits: 2 })
  @Get('again')
  async again(@Query('key') _key: string): Promise<string> {
    await sleep(20);
    return 'again';
  }

  @UseInterceptors(UsesTheKey)
  @Semaphore({ key: byArgs((key: string) => key), permits: 2 })
  @Get('used')
  used(@Query('key') _key: string): string {
    return 'used';
  }
}

const freed = (at: TestApp, key: string): Promise<void> =>
  pollUntil(`${key} is free`, async () => (await at.semaphores.inspect(key)).held === 0);

describe.each(adapters)('a pipelined request on $platform', ({ createAdapter }) => {
  /** Sends a request behind one that takes long. */
  async function sendSecond(path: string): Promise<{ started: TestApp; socket: Socket }> {
    const started = await TestApp.start(createAdapter, { controllers: [Handlers] });
    app = started;
    const socket = connect(Number(new URL(started.url).port), '127.0.0.1');
    const get = (at: string): string => `GET /${at} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    socket.write(get('slow') + get(path));
    return { started, socket };
  }

  it.each([0, 60])('leaves the queue when it hangs up after %d ms', async (afterMs) => {
    const { started, socket } = await sendSecond('queued');
    const held = await started.semaphores.acquire('queued');
    await started.happened('waiting', 'queued');
    await sleep(afterMs);
    socket.destroy();
    await started.happened('rejected', 'queued');
    expect((await started.semaphores.inspect('queued')).waiters).toEqual([]);
    await held.release();
    expect(ran).toEqual([]);
  });

  it('frees the permit of a file that nobody is there for any more', async () => {
    const { started, socket } = await sendSecond('file');
    await working.reached;
    socket.destroy();
    await sleep(50);
    working.pass();
    await freed(started, 'file');
    expect(ran).toEqual(['file']);
  });
});

describe('a handler whose key comes from its arguments', () => {
  const start = async (): Promise<TestApp> =>
    (app = await TestApp.start(() => new ExpressAdapter(), {
      controllers: [Handlers],
      providers: [UsesTheKey],
    }));

  it('gives back every permit when it was called again while it waited', async () => {
    const started = await start();
    const held = await started.semaphores.acquire('k', { permits: 2, weight: 2 });
    const response = started.fetch('/again?key=k');
    await started.happened('waiting', 'k', 2);
    await held.release();
    expect((await response).status).toBe(200);
    await freed(started, 'k');
  });

  it('gives back what its scope had of the key before', async () => {
    const started = await start();
    expect((await started.fetch('/used?key=used')).status).toBe(200);
    expect(started.count('acquired', 'used')).toBe(2);
    await freed(started, 'used');
  });
});
