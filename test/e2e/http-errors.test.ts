import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  HttpException,
  type INestApplication,
  Injectable,
  Module,
  Res,
  Sse,
  type Type,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import { type Observable, of } from 'rxjs';
import {
  byArgs,
  PermitUnavailableError,
  Semaphore,
  SemaphoreClosedError,
  SemaphoreExceptionFilter,
  SemaphoreGuard,
  type SemaphoreModuleOptions,
  SemaphoreService,
  StoreUnavailableError,
} from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;

@Injectable()
class Reports {
  constructor(private readonly semaphores: SemaphoreService) {}

  create(): Promise<string> {
    return this.semaphores.withPermit('reports', () => 'created', { waitMs: 0 });
  }
}

@Controller()
class Desk {
  constructor(private readonly reports: Reports) {}

  @Semaphore({ key: 'desk', waitMs: 0 })
  @Get('busy')
  async busy(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @Semaphore({ key: 'desk', waitMs: 20 })
  @Get('timeout')
  timeout(): string {
    return 'never';
  }

  @Semaphore({ key: 'desk', maxWaiting: 0 })
  @Get('queue-full')
  queueFull(): string {
    return 'never';
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore({ key: 'desk', waitMs: 0 })
  @Get('guarded')
  guarded(): string {
    return 'never';
  }

  @Semaphore({ key: 'desk', waitMs: 0, onUnavailable: 'skip' })
  @Get('skipped')
  skipped(): string {
    return 'never';
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore({ key: 'desk', waitMs: 0, onUnavailable: 'skip' })
  @Get('guarded-skipped')
  guardedSkipped(): string {
    return 'never';
  }

  @Semaphore({ key: byArgs(() => 'desk'), waitMs: 0, onUnavailable: 'skip' })
  @Get('skipped-by-args')
  skippedByArgs(): string {
    return 'never';
  }

  @Semaphore({ key: 'desk', waitMs: 20 })
  @Sse('events')
  events(): Observable<{ data: string }> {
    return of({ data: 'never' });
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore({ key: 'desk', waitMs: 20 })
  @Sse('guarded-events')
  guardedEvents(): Observable<{ data: string }> {
    return of({ data: 'never' });
  }

  @Get('service')
  service(): Promise<string> {
    return this.reports.create();
  }

  @Get('store-down')
  storeDown(): string {
    throw new StoreUnavailableError('connect ECONNREFUSED 10.0.0.1:6379', 'desk');
  }

  @Get('begun')
  begun(@Res() response: { raw?: ServerResponse } & ServerResponse): void {
    (response.raw ?? response).write('begun');
    throw new SemaphoreClosedError('desk');
  }

  @Get('closed')
  closed(): string {
    throw new SemaphoreClosedError('desk');
  }

  @Get('conflict')
  conflict(): string {
    throw new HttpException('not ours', 409);
  }

  @Get('fault')
  fault(): string {
    throw new Error('a secret');
  }
}

/** An application's own answer to everything. */
@Catch()
class AnswersTeapot implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), 'teapot', 418);
  }
}

@UseFilters(AnswersTeapot)
@Controller('own')
class OwnFilter {
  @Get()
  fails(): string {
    throw new SemaphoreClosedError();
  }
}

describe.each(adapters)('errors over HTTP on $platform', ({ createAdapter }) => {
  let app: TestApp;

  async function start(
    options?: SemaphoreModuleOptions,
    configure?: (app: INestApplication) => unknown,
    providers: object[] = [],
    imports: Type[] = [],
  ): Promise<void> {
    gate = new Gate();
    const metadata = {
      imports,
      controllers: [Desk, OwnFilter],
      providers: [Reports, ...(providers as [])],
    };
    app = await TestApp.start(createAdapter, metadata, options, configure);
  }

  /** Lets somebody hold the only permit of 'desk'. */
  async function hold(): Promise<void> {
    const response = app.fetch('/busy');
    await gate.reached;
    void response.then((held) => held.text());
  }

  afterEach(async () => {
    gate.pass();
    await app.close();
  });

  it.each([
    ['busy', 429, 'SEMAPHORE_BUSY'],
    ['timeout', 429, 'SEMAPHORE_TIMEOUT'],
    ['queue-full', 503, 'SEMAPHORE_QUEUE_FULL'],
    ['guarded', 429, 'SEMAPHORE_BUSY'],
  ])('answers %s with %i and Retry-After', async (path, statusCode, code) => {
    await start();
    await hold();
    const response = await app.fetch(`/${path}`);
    expect(response.status).toBe(statusCode);
    const body = (await response.json()) as Record<string, unknown>;
    expect(body).toEqual({
      statusCode,
      code,
      message: expect.stringContaining('Try again later'),
      retryAfterMs: expect.any(Number),
    });
    const seconds = Math.ceil(Number(body['retryAfterMs']) / 1000);
    expect(seconds).toBeGreaterThanOrEqual(1);
    expect(response.headers.get('retry-after')).toBe(String(seconds));
  });

  it('comes too late for the status of a stream of events, unless a guard asks for the permit', async () => {
    await start();
    await hold();
    const streamed = await app.fetch('/events');
    expect(streamed.status).toBe(200);
    expect(await streamed.text()).toMatch(/^event: error$/mu);
    const refused = await app.fetch('/guarded-events');
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ code: 'SEMAPHORE_TIMEOUT' });
  });

  it('maps an error that a service threw', async () => {
    await start();
    await using permit = await app.semaphores.acquire('reports');
    const response = await app.fetch('/service');
    expect(response.status).toBe(429);
    expect(response.headers.has('retry-after')).toBe(true);
    await permit.release();
    expect(await (await app.fetch('/service')).text()).toBe('created');
  });

  it.each(['store-down', 'closed'])('answers %s with 503, and keeps its details', async (path) => {
    await start();
    const response = await app.fetch(`/${path}`);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    const body = await response.text();
    expect(JSON.parse(body)).toMatchObject({ statusCode: 503, retryAfterMs: 1000 });
    expect(body).not.toMatch(/ECONNREFUSED|desk/u);
  });

  it('ends an answer that has begun', async () => {
    await start();
    const response = await app.fetch('/begun');
    expect([response.status, await response.text()]).toEqual([200, 'begun']);
  });

  it('answers with 503 while the application shuts down, also where a guard asks', async () => {
    await start();
    app.semaphores.beginClose();
    const statuses = ['busy', 'guarded'].map(async (path) => (await app.fetch(`/${path}`)).status);
    expect(await Promise.all(statuses)).toEqual([503, 503]);
  });

  it('answers with the status codes of the options', async () => {
    await start({ statusCodes: { busy: 409, timeout: 408, queueFull: 507, unavailable: 502 } });
    await hold();
    const statuses = ['busy', 'timeout', 'queue-full', 'store-down'].map(
      async (path) => (await app.fetch(`/${path}`)).status,
    );
    expect(await Promise.all(statuses)).toEqual([409, 408, 507, 502]);
  });

  it.each(['skipped', 'guarded-skipped', 'skipped-by-args'])(
    'leaves a handler out: %s',
    async (path) => {
      await start();
      await hold();
      const response = await app.fetch(`/${path}`);
      expect(response.status).toBe(200);
      expect(await response.text()).toBe('');
      app.semaphores.beginClose();
      expect((await app.fetch(`/${path}`)).status).toBe(200);
    },
  );

  it("leaves the application's other errors alone", async () => {
    await start();
    const conflict = await app.fetch('/conflict');
    expect(conflict.status).toBe(409);
    expect(await conflict.json()).toEqual({ statusCode: 409, message: 'not ours' });
    expect(await (await app.fetch('/fault')).json()).toEqual({
      statusCode: 500,
      message: 'Internal server error',
    });
  });

  it('comes before a filter for everything that the application provides', async () => {
    await start({}, undefined, [{ provide: APP_FILTER, useClass: AnswersTeapot }]);
    expect((await app.fetch('/closed')).status).toBe(503);
    expect((await app.fetch('/fault')).status).toBe(418);
  });

  it('comes before global filters that are set by hand, when it is set after them', async () => {
    await start({}, (nest) => {
      const everything = new AnswersTeapot(nest.get(HttpAdapterHost));
      nest.useGlobalFilters(everything, nest.get(SemaphoreExceptionFilter));
    });
    expect((await app.fetch('/closed')).status).toBe(503);
    expect((await app.fetch('/fault')).status).toBe(418);
  });

  it('comes before a filter of another module, when it is provided again after it', async () => {
    @Module({
      providers: [
        { provide: APP_FILTER, useClass: AnswersTeapot },
        { provide: APP_FILTER, useExisting: SemaphoreExceptionFilter },
      ],
    })
    class Common {}
    await start({}, undefined, [], [Common]);
    const refused = await app.fetch('/closed');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await app.fetch('/fault')).status).toBe(418);
  });

  it("comes after a handler's own filters, and after global ones that are set by hand", async () => {
    @Catch(PermitUnavailableError, SemaphoreClosedError)
    class Own extends AnswersTeapot {}
    await start({}, (nest) => nest.useGlobalFilters(new Own(nest.get(HttpAdapterHost))));
    expect((await app.fetch('/own')).status).toBe(418);
    expect((await app.fetch('/closed')).status).toBe(418);
  });
});
