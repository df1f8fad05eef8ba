import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Inject,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type NestInterceptor,
  type NestModule,
  RequestTimeoutException,
  Res,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Readable } from 'node:stream';
import { catchError, interval, map, type Observable, race, retry, take } from 'rxjs';
import {
  byArgs,
  CurrentPermit,
  type Permit,
  Semaphore,
  SemaphoreInterceptor,
  semaphoreMiddleware,
  SemaphoreService,
} from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';
import { settled } from '../support/turns.js';

let gate: Gate;
/** What a handler used that failed. */
let used: Permit;

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

/** Uses what the handler takes for itself when its arguments are known. */
@Injectable()
class UsesFirst implements NestInterceptor {
  constructor(private readonly semaphores: SemaphoreService) {}

  async intercept(_context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    await this.semaphores.use('used-before', { permits: 2 });
    return next.handle();
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

  @UseInterceptors(UsesFirst)
  @Semaphore({ key: byArgs(() => 'used-before'), permits: 2 })
  @Get('used-before')
  usedBefore(): boolean {
    return true;
  }

  @Semaphore()
  @Get('left/taken')
  async leaves(): Promise<boolean> {
    return (await this.semaphores.use('left')).isHeld;
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
    const left = { key: 'left', acquireOnStart: false, releaseOnEnd: false };
    consumer.apply(semaphoreMiddleware(this.semaphores, left)).forRoutes('left/*path');
  }
}

const mutex = { waitMs: 0 };

class Undecorated {
  @Inject(SemaphoreService)
  private readonly semaphores!: SemaphoreService;

  @Get('works')
  async works(): Promise<boolean> {
    const permit = await this.semaphores.use('k', mutex);
    await gate.stop();
    return (await this.semaphores.use('k', mutex)) === permit;
  }

  @Get('fails')
  async fails(): Promise<never> {
    used = await this.semaphores.use('k', mutex);
    throw new Error('of the handler');
  }

  @Get('answers')
  answers(@Res() response: { send(body: string): unknown }): void {
    void (async () => {
      await gate.stop();
      const permit = await this.semaphores.use('k', mutex);
      response.send(String(permit.isHeld));
    })();
  }

  @Get('file')
  async file(): Promise<StreamableFile> {
    await this.semaphores.use('k', mutex);
    const chunks = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('true');
      await gate.stop();
    };
    return new StreamableFile(Readable.from(chunks()));
  }

  @Get('behind/undecorated')
  async behind(): Promise<boolean> {
    return (await this.semaphores.use('behind')).isHeld;
  }
}

@UseInterceptors(SemaphoreInterceptor)
@Controller()
class Bound extends Undecorated {}

@Controller()
class Unbound extends Undecorated {}

const everywhere = [{ provide: APP_INTERCEPTOR, useClass: SemaphoreInterceptor }];

describe.each(
  adapters.flatMap((adapter) => [
    { ...adapter, how: 'for the application', controllers: [Unbound], providers: everywhere },
    { ...adapter, how: 'at its controller', controllers: [Bound], providers: [] },
    { ...adapter, how: 'twice', controllers: [Bound], providers: everywhere },
  ]),
)(
  'the scope of an undecorated handler whose interceptor is bound $how on $platform',
  ({ createAdapter, controllers, providers }) => {
    let app: TestApp;

    beforeEach(async () => {
      gate = new Gate();
      app = await TestApp.start(createAdapter, { imports: [Behind], controllers, providers });
    });

    afterEach(async () => {
      gate.pass();
      await app.close();
    });

    it('holds what is used until the work and the response are over', async () => {
      const response = app.fetch('/works');
      await gate.reached;
      await app.expectHeld('k');
      gate.pass();
      expect(await (await response).text()).toBe('true');
      await app.expectFreed('k');
    });

    it('holds it as long as the handler works, also when the client has left', async () => {
      await app.leave('/works', gate.reached);
      await app.expectHeld('k');
      gate.pass();
      await app.expectFreed('k');
    });

    it('frees it when the handler fails', async () => {
      expect((await app.fetch('/fails')).status).toBe(500);
      await app.expectFreed('k');
      // The work is over: nobody has to be told to stop.
      expect(used.signal.aborted).toBe(false);
    });

    it('is still open in a handler with @Res() that has returned', async () => {
      const response = app.fetch('/answers');
      await gate.reached;
      await settled();
      gate.pass();
      expect(await (await response).text()).toBe('true');
      await app.expectFreed('k');
    });

    it('holds it until a file was sent', async () => {
      const response = await app.fetch('/file');
      await gate.reached;
      await app.expectHeld('k');
      gate.pass();
      expect(await response.text()).toBe('true');
      await app.expectFreed('k');
    });

    it("has the middleware's permit", async () => {
      expect(await (await app.fetch('/behind/undecorated')).text()).toBe('true');
      await app.expectFreed('behind');
    });
  },
);

/** Comes before SemaphoreInterceptor: gives up, or tries again. */
class Impatient implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const late = gate.reached.then(() => Promise.reject(new RequestTimeoutException()));
    late.catch(() => undefined);
    switch (context.getHandler().name) {
      case 'late':
        return race(next.handle(), late);
      case 'caught':
        return next.handle().pipe(catchError(() => next.handle()));
      default:
        return next.handle().pipe(retry(1));
    }
  }
}

@Controller()
class Outlived {
  used: Permit | undefined;

  constructor(private readonly semaphores: SemaphoreService) {}

  @Get('late')
  async late(): Promise<void> {
    this.used = await this.semaphores.use('k', mutex);
    await gate.stop();
  }

  @Get('retried')
  async retried(): Promise<boolean> {
    const before = this.used;
    this.used = await this.semaphores.use('k', mutex);
    if (before === undefined) throw new Error('of the first attempt');
    return this.used.isHeld && !before.isHeld;
  }

  @Get('caught')
  caught(): Promise<boolean> {
    return this.retried();
  }
}

describe('the scope of an undecorated handler', () => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    app = await TestApp.start(() => new ExpressAdapter(), {
      controllers: [Outlived],
      providers: [{ provide: APP_INTERCEPTOR, useClass: Impatient }, ...everywhere],
    });
  });

  afterEach(async () => {
    gate.pass();
    await app.close();
  });

  it('is broken off when nobody waits for the handler any more', async () => {
    expect((await app.fetch('/late')).status).toBe(408);
    await app.expectFreed('k');
    const { used } = app.app.get(Outlived);
    expect(used?.signal.reason).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST' });
  });

  it.each(['retried', 'caught'])(
    'ends with an error: another attempt finds free what the one before used: %s',
    async (path) => {
      expect(await (await app.fetch(`/${path}`)).text()).toBe('true');
      await app.expectFreed('k', 2);
    },
  );
});

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
    await app.leave('/prints', gate.reached);
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

  it('frees what was used of the key that its handler takes by its arguments', async () => {
    expect(await (await app.fetch('/used-before')).text()).toBe('true');
    await app.expectFreed('used-before', 2);
  });

  it("leaves what its middleware is for, and a handler used, for as long as the middleware's options say", async () => {
    expect(await (await app.fetch('/left/taken')).text()).toBe('true');
    await app.expectFreed('Handlers.leaves');
    await app.expectHeld('left');
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
