import {
  Controller,
  type ExecutionContext,
  Get,
  Inject,
  Injectable,
  Param,
  type PipeTransform,
  Scope,
  SetMetadata,
  UseGuards,
} from '@nestjs/common';
import { Reflector, REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { ApiOperation, ApiOkResponse, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  firstValueFrom,
  lastValueFrom,
  Observable,
  of,
  range,
  take,
  tap,
  throwError,
  toArray,
} from 'rxjs';
import {
  byArgs,
  CurrentPermit,
  InvalidOptionsError,
  type Permit,
  PermitUnavailableError,
  Semaphore,
  SemaphoreGuard,
  SemaphoreInterceptor,
  SemaphoreModule,
  SemaphoreService,
  SingleFlight,
} from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;

interface Order {
  tenant: string;
}

@Injectable()
class Orders {
  observed = 0;

  constructor(readonly semaphores: SemaphoreService) {}

  @Semaphore()
  async create(first: string, second: string): Promise<string> {
    await gate.stop();
    return `${first} ${second}`;
  }

  @Semaphore({ key: byArgs((order: Order) => `orders:${order.tenant}`) })
  async perTenant(_order: Order): Promise<number> {
    const tenants = [];
    for await (const key of this.semaphores.list('orders:*')) tenants.push(key);
    return tenants.length;
  }

  @Semaphore({ key: byArgs((from: string, to: string) => [`account:${from}`, `account:${to}`]) })
  async transfer(_from: string, _to: string): Promise<string[]> {
    const held = [];
    for await (const key of this.semaphores.list('account:*')) held.push(key);
    return held.toSorted();
  }

  @Semaphore()
  outer(): Promise<string> {
    return this.inner();
  }

  @Semaphore()
  async inner(): Promise<string> {
    return 'inner';
  }

  @Semaphore({ reentrant: true })
  async factorial(n: number): Promise<number> {
    return n <= 1 ? 1 : n * (await this.factorial(n - 1));
  }

  @Semaphore()
  fails(): never {
    throw new RangeError('the own error of the method');
  }

  @Semaphore({ waitMs: 0 })
  async refuses(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @Semaphore({ key: 'Orders.refuses', waitMs: 0, onUnavailable: 'skip' })
  async skips(): Promise<string> {
    return 'done';
  }

  @Semaphore({ onUnavailable: 'skip' })
  async throwsFromWithin(): Promise<unknown> {
    return this.semaphores.acquire('Orders.refuses', { waitMs: 0 });
  }

  @Semaphore({ key: (context) => context.getClass().name })
  async fromContext(): Promise<string> {
    return 'within a request';
  }

  @Semaphore()
  observe(): Observable<number> {
    return of(1, 2, 3);
  }

  @Semaphore()
  observeMany(): Observable<number> {
    return range(1, 1000).pipe(tap((n) => (this.observed = n)));
  }

  @Semaphore()
  observeFailure(): Observable<number> {
    return throwError(() => new RangeError('the own error of the Observable'));
  }

  @Semaphore()
  async observeLater(): Promise<Observable<number>> {
    return of(1, 2, 3);
  }

  @Semaphore()
  async *generate(count: number): AsyncGenerator<number, number> {
    for (let n = 1; n <= count; n++) yield n;
    return count;
  }

  @Semaphore({ reentrant: true, waitMs: 0 })
  async *countDown(from: number): AsyncGenerator<number> {
    yield from;
    await Promise.resolve();
    if (from > 1) yield* this.countDown(from - 1);
  }

  @Semaphore()
  async iterate(): Promise<AsyncIterable<number>> {
    return this.numbers();
  }

  private async *numbers(): AsyncGenerator<number> {
    yield 1;
    yield 2;
  }
}

@Injectable()
class SpecialOrders extends Orders {
  override inner(): Promise<string> {
    return super.inner();
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestScoped {
  @Inject(REQUEST) private readonly request!: { url: string };

  @Semaphore()
  async url(): Promise<string> {
    return this.request.url;
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Transient {
  @Semaphore()
  async work(): Promise<string> {
    return 'transient';
  }
}

/** A pipe that works under a permit of its own. */
@Injectable()
class Translates implements PipeTransform {
  constructor(private readonly orders: Orders) {}

  transform(): Promise<string> {
    return this.orders.inner();
  }
}

@Controller('orders')
class OrdersController {
  constructor(
    private readonly orders: Orders,
    private readonly scoped: RequestScoped,
    private readonly transient: Transient,
  ) {}

  @Semaphore()
  @Get('below')
  below(): string {
    return 'below';
  }

  @Get('above')
  @Semaphore()
  above(): string {
    return 'above';
  }

  @Semaphore()
  @Get('permit')
  permit(@CurrentPermit() permit: Permit): object {
    return { token: permit.fencingToken, held: permit.isHeld, key: permit.key };
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore()
  @Get('guarded-permit')
  guardedPermit(@CurrentPermit() permit: Permit): object {
    return { token: permit.fencingToken, held: permit.isHeld, key: permit.key };
  }

  @Semaphore({
    key: (context: ExecutionContext) =>
      `tenant:${context.switchToHttp().getRequest<{ params: { id: string } }>().params.id}`,
  })
  @Get('tenant/:id')
  tenant(@CurrentPermit() permit: Permit): string {
    return permit.key;
  }

  @Semaphore({ key: byArgs((id: string) => `args:${id}`) })
  @Get('args/:id')
  async args(@Param('id') id: string): Promise<string> {
    await gate.stop();
    return id;
  }

  @Semaphore()
  @Get('piped/:text')
  piped(@Param('text', Translates) text: string): string {
    return text;
  }

  @Semaphore()
  @Get('nested')
  nested(): Promise<string> {
    return this.orders.outer();
  }

  @Semaphore()
  @Get('calls-handler')
  async callsHandler(): Promise<string> {
    return this.below();
  }

  @Semaphore({ permits: 2 })
  @Get('calls-itself/:times')
  async callsItself(@Param('times') times: string): Promise<string> {
    return times === '1' ? 'called' : this.callsItself('1');
  }

  @Semaphore()
  @Get('leaves-behind/:what')
  leavesBehind(@Param('what') what: string): string {
    if (what === 'a call') void gate.stop().then(() => this.leavesBehind('nothing'));
    return what;
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore({ reentrant: true })
  @Get('reentrant')
  async reentrant(): Promise<string> {
    return this.orders.semaphores.withPermit(
      'OrdersController.reentrant',
      () => 'without a second permit',
      { reentrant: true },
    );
  }

  @Semaphore()
  @Get('from-context')
  fromContext(): Promise<string> {
    return this.orders.fromContext();
  }

  @Get('scoped')
  url(): Promise<string> {
    return this.scoped.url();
  }

  @Get('transient')
  work(): Promise<string> {
    return this.transient.work();
  }
}

@Controller('scoped')
class ScopedController {
  // Request-scoped through its dependency.
  constructor(readonly scoped: RequestScoped) {}

  @Semaphore()
  @Get()
  get(): string {
    return 'scoped handler';
  }
}

abstract class BaseController {
  @Semaphore()
  @Get('inherited')
  inherited(): string {
    return this.name();
  }

  @Get('plain')
  plain(): string {
    return this.name();
  }

  @Get('overridden')
  overridden(): string {
    return 'base';
  }

  protected abstract name(): string;
}

@Controller('cats')
class CatsController extends BaseController {
  protected name(): string {
    return 'cats';
  }
}

@Semaphore({ permits: 2, label: 'class' })
@Controller('dogs')
class DogsController extends BaseController {
  @Get('own')
  own(@CurrentPermit() permit: Permit): string {
    return `${permit.key} ${permit.label}`;
  }

  @Semaphore({ key: 'own-key' })
  @Get('both')
  both(@CurrentPermit() permit: Permit): string {
    return `${permit.key} ${permit.label}`;
  }

  @Get('overridden')
  override overridden(): string {
    return this.name();
  }

  protected name(): string {
    return 'dogs';
  }
}

describe.each(adapters)('@Semaphore() on $platform', ({ createAdapter }) => {
  let app: TestApp;
  let orders: Orders;

  beforeEach(async () => {
    gate = new Gate();
    app = await TestApp.start(createAdapter, {
      controllers: [OrdersController, ScopedController, CatsController, DogsController],
      providers: [Orders, SpecialOrders, RequestScoped, Transient],
    });
    orders = app.app.get(Orders);
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

  describe('on handlers', () => {
    it.each(['below', 'above'])('works with the route decorator %s', async (path) => {
      expect(await text(`/orders/${path}`)).toBe(path);
      await app.expectFreed(`OrdersController.${path}`);
    });

    it.each([
      ['permit', 'permit'],
      ['guarded-permit', 'guardedPermit'],
    ])('hands the permit to the handler: %s', async (path, method) => {
      const body: unknown = JSON.parse(await text(`/orders/${path}`));
      const key = `OrdersController.${method}`;
      expect(body).toEqual({ token: expect.any(Number), held: true, key });
      await app.expectFreed(key);
    });

    it('takes the key from the request', async () => {
      expect(await text('/orders/tenant/7')).toBe('tenant:7');
      await app.expectFreed('tenant:7');
    });

    it('takes the key from the arguments that the pipes made', async () => {
      const responses = Promise.all(['1', '1', '2'].map((id) => text(`/orders/args/${id}`)));
      await app.happened('waiting', 'args:1');
      await app.happened('acquired', 'args:2');
      gate.pass();
      expect(await responses).toEqual(['1', '1', '2']);
      await app.expectFreed('args:1', 2);
      await app.expectFreed('args:2');
    });

    it('leaves the queue of a key by arguments when the client disconnects', async () => {
      const first = text('/orders/args/1');
      await app.happened('acquired', 'args:1');
      const client = new AbortController();
      const second = app.fetch('/orders/args/1', { signal: client.signal });
      await app.happened('waiting', 'args:1');
      client.abort();
      await expect(second).rejects.toThrow('abort');
      expect(await app.happened('rejected', 'args:1')).toMatchObject({ reason: 'aborted' });
      gate.pass();
      expect(await first).toBe('1');
      await app.expectFreed('args:1');
    });

    it('acquires again in what the handler calls', async () => {
      expect(await text('/orders/nested')).toBe('inner');
      await app.expectFreed('OrdersController.nested');
      await app.expectFreed('Orders.outer');
      await app.expectFreed('Orders.inner');
    });

    it('acquires again in what works before the handler does', async () => {
      expect(await text('/orders/piped/text')).toBe('inner');
      await app.expectFreed('OrdersController.piped');
      await app.expectFreed('Orders.inner');
    });

    it('acquires when one handler calls another', async () => {
      expect(await text('/orders/calls-handler')).toBe('below');
      await app.expectFreed('OrdersController.callsHandler');
      await app.expectFreed('OrdersController.below');
    });

    it('acquires again when a handler calls itself', async () => {
      expect(await text('/orders/calls-itself/2')).toBe('called');
      await app.expectFreed('OrdersController.callsItself', 2);
    });

    it('acquires again when what a handler has left behind calls it', async () => {
      expect(await text('/orders/leaves-behind/a call')).toBe('a call');
      await app.expectFreed('OrdersController.leavesBehind');
      gate.pass();
      await app.expectFreed('OrdersController.leavesBehind', 2);
    });

    it('works under the permit of the guard, as reentrant calls see', async () => {
      expect(await text('/orders/reentrant')).toBe('without a second permit');
      await app.expectFreed('OrdersController.reentrant');
    });

    it('works in request-scoped and transient providers and controllers', async () => {
      expect(await text('/orders/scoped')).toBe('/orders/scoped');
      await app.expectFreed('RequestScoped.url');
      expect(await text('/orders/transient')).toBe('transient');
      await app.expectFreed('Transient.work');
      expect(await text('/scoped')).toBe('scoped handler');
      await app.expectFreed('ScopedController.get');
    });

    it('covers inherited handlers, under the name of the class that was decorated', async () => {
      expect(await text('/cats/inherited')).toBe('cats');
      await app.expectFreed('BaseController.inherited');
      expect(await text('/cats/plain')).toBe('cats');
      expect(app.events.some(({ key }) => key?.endsWith('.plain'))).toBe(false);
    });

    it('on a class covers every handler once, inherited ones too', async () => {
      expect(await text('/dogs/own')).toBe('DogsController.own class');
      await app.expectFreed('DogsController.own');
      expect(await text('/dogs/both')).toBe('own-key class');
      await app.expectFreed('own-key');
      expect(await text('/dogs/plain')).toBe('dogs');
      await app.expectFreed('DogsController.plain');
      expect(await text('/dogs/inherited')).toBe('dogs');
      await app.expectFreed('DogsController.inherited');
      expect(await text('/dogs/overridden')).toBe('dogs');
      await app.expectFreed('DogsController.overridden');
    });
  });

  describe('on provider methods', () => {
    it('holds the permit until the promise settles, and passes the result on', async () => {
      const result = orders.create('a', 'b');
      await gate.reached;
      await app.expectHeld('Orders.create');
      gate.pass();
      expect(await result).toBe('a b');
      await app.expectFreed('Orders.create');
    });

    it("passes the method's own error on", async () => {
      await expect(orders.fails()).rejects.toThrow(new RangeError('the own error of the method'));
      await app.expectFreed('Orders.fails');
    });

    it('takes typed keys from the arguments', async () => {
      expect(
        await Promise.all([orders.perTenant({ tenant: 'a' }), orders.perTenant({ tenant: 'b' })]),
      ).toContain(2);
      expect(await orders.transfer('2', '1')).toEqual(['account:1', 'account:2']);
    });

    it('acquires once in an inherited method, whatever calls it', async () => {
      const special = app.app.get(SpecialOrders);
      expect(await special.inner()).toBe('inner');
      await app.expectFreed('Orders.inner');
      expect(await special.outer()).toBe('inner');
      await app.expectFreed('Orders.inner', 2);
    });

    it('takes no second permit in a reentrant method', async () => {
      expect(await orders.factorial(5)).toBe(120);
      await app.expectFreed('Orders.factorial');
    });

    it('throws, or skips, when no permit can be had', async () => {
      const first = orders.refuses();
      await gate.reached;
      const nightlyOrders = async (): Promise<void> => void (await orders.refuses());
      await expect(nightlyOrders()).rejects.toMatchObject({
        name: PermitUnavailableError.name,
        stack: expect.stringContaining('nightlyOrders'),
      });
      expect(await orders.skips()).toBeUndefined();
      await expect(orders.throwsFromWithin()).rejects.toThrow(PermitUnavailableError);
      gate.pass();
      expect(await first).toBe('done');
      expect(await orders.skips()).toBe('done');
    });

    it('says what to use when the key needs a request and there is none', async () => {
      await expect(orders.fromContext()).rejects.toThrow(
        /Expected `key` .*byArgs\(…\) on Orders\.fromContext: .*outside of a request/u,
      );
      expect(await text('/orders/from-context')).toBe('within a request');
    });

    it('holds the permit while an Observable is subscribed to', async () => {
      const numbers = orders.observe();
      expect(numbers).toBeInstanceOf(Observable);
      expect(app.count('acquired', 'Orders.observe')).toBe(0);
      expect(await lastValueFrom(numbers.pipe(toArray()))).toEqual([1, 2, 3]);
      // Before its end is told, as with a promise.
      expect((await app.semaphores.inspect('Orders.observe')).held).toBe(0);
      await app.expectFreed('Orders.observe');
      expect(await firstValueFrom(numbers)).toBe(1);
      await app.expectFreed('Orders.observe', 2);
    });

    it('stops an Observable that emits at once when nobody reads it any more', async () => {
      expect(await lastValueFrom(orders.observeMany().pipe(take(2)))).toBe(2);
      expect(orders.observed).toBe(2);
      await app.expectFreed('Orders.observeMany');
    });

    it('passes the error of an Observable on', async () => {
      await expect(lastValueFrom(orders.observeFailure())).rejects.toThrow(RangeError);
      await app.expectFreed('Orders.observeFailure');
    });

    it('leaves the queue when nobody reads an Observable that waits any more', async () => {
      await using _held = await app.semaphores.acquire('Orders.observe');
      const reading = orders.observe().subscribe();
      await app.happened('waiting', 'Orders.observe');
      reading.unsubscribe();
      const rejected = await app.happened('rejected', 'Orders.observe');
      expect(rejected).toMatchObject({ reason: 'aborted' });
    });

    it('holds the permit until a promised Observable is finished', async () => {
      const numbers = await orders.observeLater();
      await app.expectHeld('Orders.observeLater');
      expect(await lastValueFrom(numbers)).toBe(3);
      await app.expectFreed('Orders.observeLater');
    });

    it('holds the permit while an async generator is read', async () => {
      const numbers = [];
      for await (const n of orders.generate(2)) {
        numbers.push(n);
        await app.expectHeld('Orders.generate');
      }
      expect(numbers).toEqual([1, 2]);
      await app.expectFreed('Orders.generate');
      for await (const n of orders.generate(5)) if (n === 2) break;
      await app.expectFreed('Orders.generate', 2);
      expect(await orders.generate(0).next()).toEqual({ done: true, value: 0 });
    });

    it.each<[string, (numbers: AsyncGenerator<number, number>) => Promise<unknown>, unknown]>([
      ['returns', (numbers) => numbers.return(0), { done: true, value: 0 }],
      ['throws', (numbers) => numbers.throw('left').catch((error: unknown) => error), 'left'],
    ])('leaves the queue when the reader of an async generator %s', async (_how, leave, left) => {
      const held = await app.semaphores.acquire('Orders.generate');
      const numbers = orders.generate(2);
      const first = numbers.next();
      await app.happened('waiting', 'Orders.generate');
      expect(await leave(numbers)).toEqual(left);
      expect(await first).toEqual({ done: true, value: undefined });
      expect((await app.semaphores.inspect('Orders.generate')).waiters).toEqual([]);
      await held.release();
    });

    it('takes no second permit in a reentrant generator', async () => {
      const numbers = [];
      for await (const n of orders.countDown(3)) numbers.push(n);
      expect(numbers).toEqual([3, 2, 1]);
      await app.expectFreed('Orders.countDown');
    });

    it('holds the permit until a promised iterator has returned', async () => {
      for await (const n of await orders.iterate()) {
        await app.expectHeld('Orders.iterate');
        if (n === 1) break;
      }
      await app.expectFreed('Orders.iterate');
    });

    it('says so when Nest did not make the instance', async () => {
      const own = new Orders(app.semaphores);
      await expect(own.inner()).rejects.toThrow(/an instance that Nest made.*SemaphoreModule/u);
    });
  });
});

describe('a decorated method', () => {
  const Marked = SetMetadata('marked', 'yes');

  @Controller()
  class Documented {
    @Semaphore()
    @Marked
    @ApiOperation({ summary: 'decorated above' })
    @ApiOkResponse({ description: 'fine' })
    @Get('above')
    above(_first: string, _second: string): string {
      return 'above';
    }

    @Marked
    @ApiOperation({ summary: 'decorated below' })
    @ApiOkResponse({ description: 'fine' })
    @Get('below')
    @Semaphore()
    below(_first: string, _second: string): string {
      return 'below';
    }
  }

  const methods = [Documented.prototype.above, Documented.prototype.below];

  it('keeps name, length and metadata, in either order of decorators', () => {
    expect(methods.map(({ name, length }) => ({ name, length }))).toEqual([
      { name: 'above', length: 2 },
      { name: 'below', length: 2 },
    ]);
    for (const method of methods) {
      expect(new Reflector().get('marked', method)).toBe('yes');
      expect(Reflect.getMetadata('path', method)).toBe(method.name);
      expect(Reflect.getMetadata('__interceptors__', method)).toEqual([SemaphoreInterceptor]);
    }
  });

  it('keeps its place in the OpenAPI document', async () => {
    const app = await TestApp.start(adapters[0]!.createAdapter, { controllers: [Documented] });
    const document = SwaggerModule.createDocument(app.app, new DocumentBuilder().build());
    expect(document.paths['/above']?.get).toMatchObject({
      operationId: 'Documented_above',
      summary: 'decorated above',
      responses: { 200: { description: 'fine' } },
    });
    expect(document.paths['/below']?.get).toMatchObject({ summary: 'decorated below' });
    await app.close();
  });

  it.each([
    [
      { permits: 0 },
      /^@Semaphore\(\) on Wrong\.method: Expected `permits` to be a whole number >= 1, got `0`/u,
    ],
    [{ permits: 2, weight: 3 }, /Expected `weight` to be at most `permits` \(2\), got `3`/u],
    [{ key: '' }, /Expected `key` to be a non-empty string/u],
    [{ key: 7 }, /Expected `key` to be a string, a function/u],
    [{ onUnavailable: 'wait' }, /Expected `onUnavailable` to be 'throw' \| 'skip', got "wait"/u],
    [{ permit: 1 }, /Expected `permit` to be left out: there is no such option/u],
    [null, /^@Semaphore\(\) on Wrong\.method: Expected `options` to be an object, got `null`/u],
    ['reports', /Expected `options` to be an object, got "reports"/u],
  ])('has its options checked when it is decorated: %j', (options, message) => {
    const decorate = (): unknown => {
      class Wrong {
        @Semaphore(options as object)
        method(): void {}
      }
      return Wrong;
    };
    expect(decorate).toThrow(InvalidOptionsError);
    expect(decorate).toThrow(message);
  });

  it('refuses a key by arguments that is no function', () => {
    expect(() => byArgs('tenant' as never)).toThrow(InvalidOptionsError);
    expect(() => byArgs('tenant' as never)).toThrow(
      /^byArgs\(\): Expected `toKey` to be a function, got "tenant"/u,
    );
  });

  it.each<[string, unknown, string]>([
    ['a promise', Promise.resolve('a'), '[object Promise] (object)'],
    ['no key', undefined, '`undefined`'],
    ['keys with an empty one', ['a', ''], '"" (string)'],
    ['an empty list', [], 'an empty array'],
  ])(
    'refuses %s as what a key function returns, and names the function',
    async (_what, key, got) => {
      @Injectable()
      class Billing {
        @Semaphore({ key: byArgs(() => key as string) })
        async bill(): Promise<void> {}
      }
      const root = SemaphoreModule.forRoot({ log: 'none' });
      const app = await Test.createTestingModule({
        imports: [root],
        providers: [Billing],
      }).compile();
      await expect(app.get(Billing).bill()).rejects.toThrow(
        `the key function of Billing.bill, which cannot be async, should return, got ${got}`,
      );
      await app.close();
    },
  );

  it('tells who calls it in the constructor, where Nest has injected nothing yet, how early it can', async () => {
    @Injectable()
    class Early {
      readonly inConstructor = this.run().catch((error: Error) => error.message);

      @Semaphore()
      async run(): Promise<string> {
        return 'done';
      }
    }
    const root = SemaphoreModule.forRoot({ log: 'none' });
    const app = await Test.createTestingModule({ imports: [root], providers: [Early] }).compile();
    expect(await app.get(Early).inConstructor).toMatch(/onModuleInit\(\) is early enough/u);
    await app.close();
  });

  it('refuses a second key: one of two limits would be lost without a word', () => {
    expect(() => {
      class Twice {
        @Semaphore({ key: 'all', permits: 100 })
        @Semaphore({ key: byArgs((tenant: string) => `of:${tenant}`), permits: 5 })
        method(_tenant: string): void {}
      }
      return Twice;
    }).toThrow(/^@Semaphore\(\) on Twice\.method: Expected `key` to be given to one decorator/u);
  });

  it('is a method of instances, or one of a class with handlers', () => {
    const property = Semaphore() as PropertyDecorator;
    expect(() => {
      class Held {
        @property
        method = (): void => {};
      }
      return Held;
    }).toThrow(/neither on a static one nor on a property .*, got "Held\.method"/u);
    expect(() => {
      class Static {
        @Semaphore()
        static method(): void {}
      }
      return Static;
    }).toThrow(/`@Semaphore\(\)` to be on a class, or on a method, .*, got "Static\.method"/u);
    expect(() => {
      @Semaphore()
      class WithoutHandlers {
        method(): void {}
      }
      return WithoutHandlers;
    }).toThrow(/to be on a class with handlers, or on the methods .*, got "WithoutHandlers"/u);
  });

  it.each([
    ['@Semaphore', Semaphore()],
    ['@SingleFlight', SingleFlight()],
  ])('%s says what the compiler lacks where it has other decorators', (name, decorator) => {
    const run = () => undefined;
    const apply = decorator as unknown as (value: unknown, context: object) => void;
    expect(() => apply(run, { kind: 'method', name: 'run', static: false })).toThrow(
      `Expected \`${name}()\` to be compiled with \`"experimentalDecorators": true\``,
    );
  });

  it.each([
    ['@Semaphore', Semaphore],
    ['@SingleFlight', SingleFlight],
  ])(
    '%s has parentheses: without them there would be no limit, and no error',
    (name, decorator) => {
      const bare = decorator as unknown as MethodDecorator & ClassDecorator;
      const rule = `Expected \`${name}\` to be written as ${name}(), got`;
      expect(() => {
        class Jobs {
          @bare
          run(): void {}
        }
        return Jobs;
      }).toThrow(`${rule} "Jobs" (string)`);
      expect(() => {
        @bare
        class Reports {
          run(): void {}
        }
        return Reports;
      }).toThrow(`${rule} "Reports" (string)`);
      const withKey = decorator as unknown as (key: () => string) => MethodDecorator;
      expect(() => {
        class Invoices {
          @withKey(() => 'a key')
          run(): void {}
        }
        return Invoices;
      }).toThrow(`${name}() on Invoices.run: Expected \`options\` to be an object`);
    },
  );

  it('is no generator: whoever reads one waits for nothing', () => {
    expect(() => {
      class Rows {
        @Semaphore()
        *all(): Generator<number> {
          yield 1;
        }
      }
      return Rows;
    }).toThrow(/`@Semaphore\(\)` to be on a method that can wait .*, got "Rows\.all"/u);
  });
});
