import { Controller, Get, Injectable, type NestMiddleware, UseGuards } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { trace } from '@opentelemetry/api';
import {
  byArgs,
  InjectSemaphore,
  NamedSemaphore,
  Semaphore,
  SemaphoreGuard,
  SemaphoreModule,
} from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';
import { Telemetry } from '../support/telemetry.js';

@Injectable()
class ReportsService {
  constructor(@InjectSemaphore('smtp') private readonly smtp: NamedSemaphore) {}

  @Semaphore({ key: byArgs((tenant: string) => `render:${tenant}`) })
  async render(tenant: string): Promise<string> {
    return this.smtp.withPermit(() => tenant);
  }

  @Semaphore({ key: byArgs((tenant: string) => tenant), name: 'of-my-own' })
  async own(_tenant: string): Promise<void> {}
}

let gate: Gate;

@Controller()
class ReportsController {
  constructor(private readonly reports: ReportsService) {}

  @Semaphore({ key: 'static-key' })
  @Get('static')
  fixed(): string {
    return 'done';
  }

  @Semaphore({ key: (context) => ['one', `tenant-of-${context.getClass().name}`] })
  @Get('computed')
  computed(): string {
    return 'done';
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore({ waitMs: 60_000 })
  @Get('guarded')
  async guarded(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore({ waitMs: 0, key: 'full' })
  @Get('full')
  async full(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @Get('provider')
  async provider(): Promise<string> {
    await this.reports.own('tenant');
    return this.reports.render('tenant');
  }
}

const tracer = trace.getTracer('test');

/** As the HTTP instrumentation does it. */
class RequestSpan implements NestMiddleware {
  use(
    _request: unknown,
    response: { on(event: 'close', listener: () => void): void },
    next: () => void,
  ) {
    tracer.startActiveSpan('request', (span) => {
      response.on('close', () => span.end());
      next();
    });
  }
}

let telemetry: Telemetry;

beforeAll(async () => {
  telemetry = await Telemetry.start();
});

afterAll(() => telemetry[Symbol.asyncDispose]());

describe.each(adapters)('telemetry of decorated methods on $platform', ({ createAdapter }) => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    telemetry.forget();
    app = await TestApp.start(
      createAdapter,
      {
        imports: [SemaphoreModule.forFeature([{ name: 'smtp' }])],
        controllers: [ReportsController],
        providers: [ReportsService],
      },
      {},
      (nest) => {
        const { use } = new RequestSpan();
        nest.use(use);
      },
    );
  });
  afterEach(() => app.close());

  const get = async (path: string): Promise<string> => {
    const response = await app.fetch(path);
    expect(response.status).toBe(200);
    return response.text();
  };
  const names = () => telemetry.spans().map(({ name }) => name.replace('semaphore wait ', ''));

  /** Every wait belongs to the request that waited. */
  const expectChildren = (): void => {
    const requests = telemetry.spans('request').map((span) => span.spanContext().spanId);
    const parents = telemetry.spans().map((span) => span.parentSpanContext?.spanId);
    expect(parents.filter((id) => !requests.includes(String(id)))).toEqual([]);
  };

  test('is told under a key that stands in the code', async () => {
    await get('/static');
    await telemetry.ended('request');
    expect(names()).toEqual(['static-key']);
    expectChildren();
  });

  test('is told under class and method where the key is computed, once a key', async () => {
    await get('/computed');
    await telemetry.ended('request');
    expect(names()).toEqual(['ReportsController.computed', 'ReportsController.computed']);
    expectChildren();
  });

  test('is told under the name of a feature, or the one that was given', async () => {
    await get('/provider');
    await telemetry.ended('request');
    expect(names()).toEqual(['of-my-own', 'ReportsService.render', 'smtp']);
    expectChildren();
  });

  test('is told where the guard waits, as a part of its request', async () => {
    const first = get('/guarded');
    await gate.reached;
    const second = get('/guarded');
    await app.happened('waiting', 'ReportsController.guarded');
    gate.pass();
    expect(await Promise.all([first, second])).toEqual(['done', 'done']);
    await telemetry.ended('request', 2);
    expect(names()).toEqual(['ReportsController.guarded', 'ReportsController.guarded']);
    expectChildren();
    expect(await telemetry.value('semaphore_permits_held')).toBe(0);
    expect(await telemetry.value('semaphore_waiters')).toBe(0);
  });

  test('is told where the guard refuses', async () => {
    const first = get('/full');
    await gate.reached;
    expect((await app.fetch('/full')).status).toBe(429);
    gate.pass();
    await first;
    await telemetry.ended('request', 2);
    const outcomes = telemetry.spans().map((span) => span.attributes['semaphore.outcome']);
    expect(outcomes).toEqual(['acquired', 'busy']);
    expectChildren();
  });
});
