import {
  Controller,
  Get,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type NestModule,
} from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { interval, map, type Observable, take } from 'rxjs';
import {
  byArgs,
  CurrentPermit,
  type Permit,
  Semaphore,
  semaphoreMiddleware,
  SemaphoreService,
} from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;

@Injectable()
class Printer {
  constructor(private readonly semaphores: SemaphoreService) {}

  async print(): Promise<string> {
    await this.semaphores.use('printer', { permits: 2 });
    return (await this.semaphores.use('printer')).id;
  }

  @Semaphore({ key: 'scanner', waitMs: 0 })
  async scan(): Promise<boolean> {
    return (await this.semaphores.use('scanner', { waitMs: 0 })).isHeld;
  }
}

@Controller()
class Handlers {
  constructor(
    private readonly printer: Printer,
    private readonly semaphores: SemaphoreService,
  ) {}

  @Semaphore({ permits: 2 })
  @Get('prints')
  async prints(): Promise<string[]> {
    const ids = [await this.printer.print(), await this.printer.print()];
    await gate.stop();
    return ids;
  }

  @Semaphore()
  @Get('streams')
  streams(): Observable<string> {
    return interval(1).pipe(
      take(2),
      map((i) => {
        void this.printer.print();
        return String(i);
      }),
    );
  }

  @Semaphore()
  @Get('scans')
  scans(): Promise<boolean> {
    return this.printer.scan();
  }

  @Semaphore()
  @Get('fails')
  async fails(): Promise<never> {
    await this.printer.print();
    throw new Error('of the handler');
  }

  @Semaphore({ waitMs: 0 })
  @Get('own')
  async own(@CurrentPermit() permit: Permit): Promise<boolean> {
    return (await this.semaphores.use('Handlers.own')).id === permit.id;
  }

  @Semaphore({ key: byArgs(() => ['one', 'two']), waitMs: 0 })
  @Get('by-args')
  async byArgs(): Promise<boolean> {
    const permits = [await this.semaphores.use('one'), await this.semaphores.use('two')];
    return permits.every(({ isHeld }) => isHeld);
  }

  @Get('undecorated')
  undecorated(): Promise<string> {
    return this.printer.print();
  }

  @Semaphore()
  @Get('behind/decorated')
  async decorated(): Promise<string> {
    return (await this.semaphores.use('behind')).id;
  }

  @Get('behind/plain')
  async plain(): Promise<string> {
    await gate.stop();
    return (await this.semaphores.use('behind')).id;
  }
}

@Module({})
class Behind implements NestModule {
  constructor(private readonly semaphores: SemaphoreService) {}

  configure(consumer: MiddlewareConsumer): void {
    const options = { key: 'behind', permits: 1, waitMs: 0 };
    consumer.apply(semaphoreMiddleware(this.semaphores, options)).forRoutes('behind/*path');
  }
}

describe.each(adapters)('the scope of a request on $platform', ({ createAdapter }) => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    app = await TestApp.start(createAdapter, {
      imports: [Behind],
      controllers: [Handlers],
      providers: [Printer],
    });
  });

  afterEach(async () => {
    gate.pass();
    await app.close();
  });

  it('is open while a decorated handler works, and frees what services used in it', async () => {
    const response = app.fetch('/prints');
    await gate.reached;
    await app.expectHeld('printer');
    gate.pass();
    const [one, two] = (await (await response).json()) as string[];
    expect(one).toBe(two);
    await app.expectFreed('printer');
    await app.expectFreed('Handlers.prints');
  });

  it('is open as long as the handler works, also when the client has left', async () => {
    const client = new AbortController();
    const response = app.fetch('/prints', { signal: client.signal });
    await gate.reached;
    client.abort();
    await expect(response).rejects.toThrow('abort');
    await app.expectHeld('printer');
    gate.pass();
    await app.expectFreed('printer');
  });

  it('is of one request', async () => {
    gate.pass();
    const responses = await Promise.all([app.fetch('/prints'), app.fetch('/prints')]);
    const ids = (await Promise.all(responses.map((response) => response.json()))).flat();
    expect(new Set(ids).size).toBe(2);
    await app.expectFreed('printer', 2);
  });

  it('ends with an Observable, and with an error', async () => {
    await (await app.fetch('/streams')).text();
    await app.expectFreed('printer');
    expect((await app.fetch('/fails')).status).toBe(500);
    await app.expectFreed('printer', 2);
  });

  it.each([
    ['own', 'Handlers.own'],
    ['by-args', 'one'],
    ['scans', 'scanner'],
  ])('has the permit of the handler, or of what it calls: %s', async (path, key) => {
    expect(await (await app.fetch(`/${path}`)).text()).toBe('true');
    await app.expectFreed(key);
  });

  it('is not there in a handler without decorator and middleware', async () => {
    expect((await app.fetch('/undecorated')).status).toBe(500);
    await app.expectFreed('printer', 0);
  });

  it.each(['decorated', 'plain'])("has the middleware's permit: %s", async (path) => {
    gate.pass();
    expect((await app.fetch(`/behind/${path}`)).status).toBe(200);
    await app.expectFreed('behind');
  });

  it('refuses as the exception filter does, and frees when the client leaves', async () => {
    const client = new AbortController();
    const first = app.fetch('/behind/plain', { signal: client.signal });
    await gate.reached;
    const refused = await app.fetch('/behind/plain');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await refused.json()).toMatchObject({ statusCode: 429, code: 'SEMAPHORE_BUSY' });
    client.abort();
    await expect(first).rejects.toThrow('abort');
    await app.expectFreed('behind');
  });
});
