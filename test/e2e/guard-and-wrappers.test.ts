import {
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Inject,
  Injectable,
  type NestInterceptor,
  RequestTimeoutException,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Observable, race } from 'rxjs';
import {
  type AcquireOptions,
  byArgs,
  CurrentPermit,
  InvalidOptionsError,
  type Permit,
  PermitUnavailableError,
  Semaphore,
  SemaphoreGuard,
  SemaphoreInterceptor,
  SemaphoreService,
} from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';
import { aborted } from '../support/semaphores.js';
import { settled } from '../support/turns.js';

let gate: Gate;
let timeOut: () => void;
/** Whether the permit was held, each time the handler worked. */
let works: boolean[];
/** How often a wrapper was called. */
let wrapped: number;

@Injectable()
class TenantGuard extends SemaphoreGuard {
  protected override async shouldSkip(context: ExecutionContext): Promise<boolean> {
    return context.switchToHttp().getRequest<{ url: string }>().url.endsWith('?free');
  }

  protected override async getKey(context: ExecutionContext): Promise<string> {
    return `tenant:${String(super.getKey(context))}`;
  }

  protected override async getOptions(): Promise<AcquireOptions> {
    return { permits: 2, waitMs: 0, label: 'guard' };
  }

  protected override async onUnavailable(
    _context: ExecutionContext,
    error: PermitUnavailableError,
  ): Promise<never> {
    throw new RequestTimeoutException(error.reason);
  }
}

/** Does something else once it has a permit, until the client is gone. */
@Injectable()
class SlowGuard extends SemaphoreGuard {
  protected override async acquire(key: string, options: AcquireOptions): Promise<Permit> {
    const permit = await super.acquire(key, options);
    await Promise.race([gate.stop(), aborted(options.signal as AbortSignal)]);
    return permit;
  }
}

/** Works for so long that an operator takes a permit from its holder. */
@Injectable()
class Evicts implements CanActivate {
  constructor(private readonly semaphores: SemaphoreService) {}

  async canActivate(): Promise<boolean> {
    const { holders } = await this.semaphores.inspect('evicted');
    for (const { id } of holders) await this.semaphores.forceRelease('evicted', id);
    return true;
  }
}

@Injectable()
class NamedGuard extends SemaphoreGuard {
  constructor(@Inject('name') private readonly name: string) {
    super();
  }

  protected override getKey(): string {
    return this.name;
  }
}

class TimesOut implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const timeout = new Observable<never>((subscriber) => {
      timeOut = () => subscriber.error(new RequestTimeoutException());
    });
    return race(next.handle(), timeout);
  }
}

class Begins implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    works.push(true);
    return next.handle();
  }
}

/** Another library's decorator, which replaces the method by a function with the same metadata. */
function Wrapped(target: object, _property: string, descriptor: PropertyDescriptor): void {
  const method = descriptor.value as (...args: unknown[]) => unknown;
  function wrapper(this: unknown, ...args: unknown[]): unknown {
    wrapped++;
    return Reflect.apply(method, this, args);
  }
  for (const key of Reflect.getMetadataKeys(method) as string[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapper);
  }
  Object.defineProperty(wrapper, 'name', { value: method.name });
  descriptor.value = wrapper;
  void target;
}

@Controller()
class Handlers {
  @UseGuards(TenantGuard)
  @Semaphore()
  @Get('tenant')
  async tenant(@CurrentPermit() permit: Permit): Promise<string> {
    await gate.stop();
    return `${permit.key} ${String(permit.label)}`;
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore()
  @Get('guarded')
  async guarded(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @UseGuards(SlowGuard)
  @Semaphore()
  @Get('slow')
  slow(@CurrentPermit() permit: Permit): void {
    works.push(permit.isHeld);
  }

  @UseGuards(SemaphoreGuard, Evicts)
  @Semaphore({ key: () => ['kept', 'evicted'] })
  @Get('evicted')
  evicted(@CurrentPermit() permit: Permit): void {
    works.push(permit.isHeld);
  }

  @Semaphore()
  @Get('held')
  async held(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @UseInterceptors(Begins)
  @Semaphore({ key: 'Handlers.held' })
  @UseInterceptors(TimesOut)
  @Get('late')
  late(): string {
    return 'never';
  }

  @Semaphore({ key: byArgs(() => 'Handlers.held') })
  @UseInterceptors(TimesOut)
  @Get('late-by-args')
  lateByArgs(): string {
    works.push(true);
    return 'never';
  }

  @Wrapped
  @Semaphore()
  @Get('wrapper-above')
  wrapperAbove(): string {
    return 'done';
  }

  @Semaphore()
  @Wrapped
  @Get('wrapper-below')
  wrapperBelow(): string {
    return 'done';
  }

  @Semaphore({ permits: 2, label: 'outer' })
  @Semaphore({ label: 'inner', key: 'twice' })
  @Get('twice')
  twice(@CurrentPermit() permit: Permit): string {
    return String(permit.label);
  }

  @Semaphore({ key: byArgs(() => 'by-args') })
  @Get('by-args')
  byArgs(): string {
    return 'done';
  }

  @Get('plain')
  plain(): string {
    return 'done';
  }
}

@Semaphore({ label: 'class' })
@Controller('class')
class WrappedInClass {
  @Wrapped
  @Semaphore({ label: 'method' })
  @Get()
  handle(@CurrentPermit() permit: Permit): string {
    return String(permit.label);
  }
}

describe.each(adapters)('guards and wrappers on $platform', ({ createAdapter }) => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    wrapped = 0;
    app = await TestApp.start(createAdapter, {
      controllers: [Handlers, WrappedInClass],
      providers: [
        { provide: APP_GUARD, useClass: SemaphoreGuard },
        { provide: APP_INTERCEPTOR, useClass: SemaphoreInterceptor },
      ],
    });
  });

  afterEach(async () => {
    gate.pass();
    await app.close();
  });

  async function text(path: string): Promise<string> {
    const response = await app.fetch(path);
    expect(response.status).toBe(200);
    return response.text();
  }

  it('acquires once, with guard and interceptor bound globally too', async () => {
    gate.pass();
    expect(await text('/guarded')).toBe('done');
    await app.expectFreed('Handlers.guarded');
    expect(await text('/plain')).toBe('done');
    expect(app.events.filter(({ key }) => key === 'Handlers.plain')).toEqual([]);
  });

  it('leaves a key by arguments to the handler, which knows them', async () => {
    expect(await text('/by-args')).toBe('done');
    await app.expectFreed('by-args');
  });

  it('leaves the queue when the client disconnects while the guard waits', async () => {
    const first = text('/guarded');
    await gate.reached;
    const client = new AbortController();
    const second = app.fetch('/guarded', { signal: client.signal });
    await app.happened('waiting', 'Handlers.guarded');
    client.abort();
    await expect(second).rejects.toThrow('abort');
    expect(await app.happened('rejected', 'Handlers.guarded')).toMatchObject({ reason: 'aborted' });
    gate.pass();
    expect(await first).toBe('done');
    await app.expectFreed('Handlers.guarded');
  });

  it('does not begin to work under a permit that was lost while later guards worked', async () => {
    works = [];
    expect((await app.fetch('/evicted')).status).toBe(500);
    expect(works).toEqual([]);
    await app.expectFreed('kept');
    expect(app.count('acquired', 'evicted')).toBe(1);
  });

  it.each(['wrapper-above', 'wrapper-below'])('acquires once with a %s', async (path) => {
    expect(await text(`/${path}`)).toBe('done');
    const method = path === 'wrapper-above' ? 'wrapperAbove' : 'wrapperBelow';
    await app.expectFreed(`Handlers.${method}`);
  });

  it('acquires once when a method is decorated twice, or in a class that is', async () => {
    expect(await text('/twice')).toBe('inner');
    await app.expectFreed('twice');
    expect(await text('/class')).toBe('method');
    await app.expectFreed('WrappedInClass.handle');
    expect(wrapped).toBe(1);
  });
});

describe.each(adapters)('a guard of the application on $platform', ({ createAdapter }) => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    app = await TestApp.start(createAdapter, { controllers: [Handlers] });
  });

  afterEach(async () => {
    gate.pass();
    await app.close();
  });

  it('overrides key, options and answer', async () => {
    const key = 'tenant:Handlers.tenant';
    const working = [app.fetch('/tenant'), app.fetch('/tenant')];
    await gate.reached;
    await app.happened('acquired', key, 2);
    const refused = await app.fetch('/tenant');
    expect(refused.status).toBe(408);
    expect(await refused.json()).toMatchObject({ message: 'busy' });
    gate.pass();
    for (const response of working) expect(await (await response).text()).toBe(`${key} guard`);
    await app.expectFreed(key, 2);
  });

  it('leaves out what it should skip: the handler acquires by itself', async () => {
    gate.pass();
    const response = await app.fetch('/tenant?free');
    expect(await response.text()).toBe('Handlers.tenant undefined');
    await app.expectFreed('Handlers.tenant');
  });

  it('gives no handler a permit that was given back when the client was gone', async () => {
    works = [];
    const client = new AbortController();
    const gone = app.fetch('/slow', { signal: client.signal });
    await gate.reached;
    client.abort();
    await expect(gone).rejects.toThrow('abort');
    await app.happened('released', 'Handlers.slow');
    gate.pass();
    expect((await app.fetch('/slow')).status).toBe(200);
    expect(works).toContain(true);
    expect(works).not.toContain(false);
  });

  it('leaves the queue when an interceptor answers a timeout while the request waits', async () => {
    const first = app.fetch('/held');
    await gate.reached;
    const second = app.fetch('/late');
    await app.happened('waiting', 'Handlers.held');
    timeOut();
    expect((await second).status).toBe(408);
    expect(await app.happened('rejected', 'Handlers.held')).toMatchObject({ reason: 'aborted' });
    gate.pass();
    expect(await (await first).text()).toBe('done');
    await app.expectFreed('Handlers.held');
  });
});

describe('a permit that comes as the request times out', () => {
  it.each(['late', 'late-by-args'])('is given back, with its work: %s', async (path) => {
    works = [];
    const app = await TestApp.start(() => new ExpressAdapter(), { controllers: [Handlers] });
    for (let turns = 0; turns < 12; turns++) {
      const held = await app.semaphores.acquire('Handlers.held');
      const late = app.fetch(`/${path}`);
      await app.happened('waiting', 'Handlers.held', turns + 1);
      void held.release();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const before = works.length;
      timeOut();
      await late;
      await settled();
      expect(works).toHaveLength(before);
      expect(await app.semaphores.inspect('Handlers.held')).toMatchObject({ held: 0 });
    }
    expect(app.count('rejected', 'Handlers.held')).toBeLessThan(12);
    await app.close();
  });
});

describe('made by hand', () => {
  it.each([SemaphoreGuard, SemaphoreInterceptor])('%p says that it needs the service', (type) => {
    expect(() => new type()).toThrow(InvalidOptionsError);
    expect(() => new type()).toThrow(
      `Expected \`semaphores\` to be the SemaphoreService: pass the class ${type.name} instead of an instance`,
    );
  });

  it.each(adapters)('they work with the service on $platform', async ({ createAdapter }) => {
    gate = new Gate();
    gate.pass();
    const app = await TestApp.start(createAdapter, { controllers: [Handlers] }, {}, (nest) => {
      const semaphores = nest.get(SemaphoreService);
      nest.useGlobalGuards(new SemaphoreGuard(semaphores));
      nest.useGlobalInterceptors(new SemaphoreInterceptor(semaphores));
    });
    expect(await (await app.fetch('/held')).text()).toBe('done');
    await app.expectFreed('Handlers.held');
    await app.close();
  });

  it.each(adapters)('a subclass needs none on $platform', async ({ createAdapter }) => {
    gate = new Gate();
    gate.pass();
    const app = await TestApp.start(createAdapter, {
      controllers: [Handlers],
      providers: [
        { provide: APP_GUARD, useClass: NamedGuard },
        { provide: 'name', useValue: 'named' },
      ],
    });
    expect(await (await app.fetch('/held')).text()).toBe('done');
    await app.expectFreed('named');
    await app.close();
  });
});
