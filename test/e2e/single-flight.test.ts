import {
  Body,
  Controller,
  Get,
  HttpException,
  Injectable,
  NotFoundException,
  Param,
  Post,
  Query,
  Scope,
  SetMetadata,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ApiOkResponse, ApiOperation, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Observable, of } from 'rxjs';
import {
  byArgs,
  InvalidOptionsError,
  PermitUnavailableError,
  Semaphore,
  SemaphoreModule,
  SingleFlight,
  SingleFlightService,
} from 'nestjs-semaphore';
import { untilFollowed } from '../support/flights.js';
import { adapters, Gate, TestApp } from '../support/nest-app.js';
import { pollUntil } from '../support/redis-admin.js';
import { useRedis } from '../support/redis-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const server = useRedis();
let gate: Gate;
let runs: string[];

async function work(what: string): Promise<string> {
  runs.push(what);
  await gate.stop();
  return what;
}

@Injectable()
class Rates {
  readonly source: string = 'upstream';

  /** Documented. */
  @SetMetadata('topic', 'rates')
  @SingleFlight({ ttlMs: 60_000 })
  rateOf(currency: string, _date?: Date): Promise<string> {
    return work(`${this.source} ${currency}`);
  }

  @SingleFlight({ key: byArgs((user: { id: string }) => `user:${user.id}`) })
  ofUser(user: { id: string; seenAt: () => number }): Promise<string> {
    return work(user.id);
  }

  @SingleFlight({ key: byArgs((name: string) => name) })
  named(name: string): Promise<string> {
    return Promise.resolve(name);
  }

  @SingleFlight()
  undeclared(): unknown {
    runs.push('undeclared');
    return of(1);
  }

  @SingleFlight()
  twice(n: number): number {
    runs.push('twice');
    return 2 * n;
  }
}

/** What a client sees of it is what `JSON` makes of it. */
class Problem {
  readonly hidden = (): void => undefined;
  constructor(readonly title: string) {}
}

class OutOfStock extends HttpException {
  constructor() {
    super(new Problem('out of stock'), 409);
  }
}

@Injectable()
class SpecialRates extends Rates {
  override readonly source: string = 'special';
}

@Injectable()
class RoundedRates extends Rates {
  override readonly source: string = 'rounded';

  @SingleFlight({ ttlMs: 60_000 })
  override async rateOf(currency: string): Promise<string> {
    return `about ${await super.rateOf(currency)}`;
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestRates {
  @SingleFlight()
  rateOf(currency: string): Promise<string> {
    return work(currency);
  }
}

@Controller()
class RatesController {
  constructor(
    readonly rates: Rates,
    readonly special: SpecialRates,
    readonly requestRates: RequestRates,
  ) {}

  @Get('above/:currency')
  @SingleFlight()
  @ApiOperation({ summary: 'a rate' })
  @ApiOkResponse({ type: String })
  above(@Param('currency') currency: string, @Query('day') _day?: string): Promise<string> {
    return work(currency);
  }

  @SingleFlight()
  @Get('below/:currency')
  below(@Param('currency') currency: string): Promise<string> {
    return work(currency);
  }

  @SingleFlight()
  @Get('whole/:currency')
  async whole(@Param() params: { currency: string }, @Query() query: object): Promise<object> {
    await work(params.currency);
    return { params, query };
  }

  @SingleFlight()
  @Semaphore({ key: 'guarded', permits: 5 })
  @Post('both')
  both(@Body() body: { currency: string }): Promise<string> {
    return work(body.currency);
  }

  @Get('scoped/:currency')
  scoped(@Param('currency') currency: string): Promise<string> {
    return this.requestRates.rateOf(currency);
  }

  @SingleFlight()
  @Get('busy')
  async busy(): Promise<never> {
    await work('busy');
    throw new PermitUnavailableError('upstream', 'busy', 1500, {
      permits: 1,
      weight: 1,
      waitMs: 0,
      maxWaiting: 0,
    });
  }

  @SingleFlight()
  @Get('missing')
  async missing(): Promise<never> {
    await work('missing');
    throw new NotFoundException('no such rate');
  }

  @SingleFlight()
  @Get('gone')
  async gone(): Promise<never> {
    await work('gone');
    throw new OutOfStock();
  }
}

beforeEach(() => {
  gate = new Gate();
  runs = [];
});

describe.each(adapters)('@SingleFlight() on $platform', ({ createAdapter }) => {
  let apps: TestApp[];
  let app: TestApp;

  beforeEach(async () => {
    const keyPrefix = uniquePrefix('flight');
    const metadata = {
      controllers: [RatesController],
      providers: [Rates, SpecialRates, RoundedRates, RequestRates],
    };
    const options = { redis: server.url, keyPrefix };
    apps = await Promise.all([1, 2].map(() => TestApp.start(createAdapter, metadata, options)));
    app = apps[0]!;
  });

  afterEach(() => Promise.all(apps.map((each) => each.close())));

  /** From both applications at once: the second has joined when the work ends. */
  async function fetchFromBoth(path: string, key: string, init?: RequestInit): Promise<Response[]> {
    const fetches = [app.fetch(path, init), app.fetch(path, init)];
    await gate.reached;
    fetches.push(apps[1]!.fetch(path, init));
    await untilFollowed({ semaphores: app.semaphores }, key);
    gate.pass();
    return Promise.all(fetches);
  }

  it.each(['above', 'below'])('covers a handler with its route %s it', async (route) => {
    const name = `RatesController.${route}`;
    const args = route === 'above' ? '("EUR",undefined)' : '("EUR")';
    const responses = await fetchFromBoth(`/${route}/EUR`, name + args);
    expect(await Promise.all(responses.map((response) => response.text()))).toEqual([
      'EUR',
      'EUR',
      'EUR',
    ]);
    expect(runs).toEqual(['EUR']);
  });

  it('takes whole queries and route parameters for what they are', async () => {
    const key = 'RatesController.whole({"currency":"EUR"},{"day":"1"})';
    const responses = await fetchFromBoth('/whole/EUR?day=1', key);
    for (const response of responses) {
      expect(await response.json()).toEqual({ params: { currency: 'EUR' }, query: { day: '1' } });
    }
    expect(runs).toEqual(['EUR']);
  });

  it('works together with @Semaphore()', async () => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"currency":"USD"}',
    };
    const key = 'RatesController.both({"currency":"USD"})';
    const responses = await fetchFromBoth('/both', key, init);
    expect(responses.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(runs).toEqual(['USD']);
    // A handler's response does not wait for its permit to be given back.
    await pollUntil('nothing is held', async () => {
      const { held } = await app.semaphores.inspect('guarded');
      return held === 0;
    });
  });

  it('covers methods of request-scoped providers', async () => {
    const responses = await fetchFromBoth('/scoped/CHF', 'RequestRates.rateOf("CHF")');
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(runs).toEqual(['CHF']);
  });

  it("answers every request as the leader's is answered, when it ends with an HttpException", async () => {
    const responses = await fetchFromBoth('/missing', 'RatesController.missing');
    const expected = { statusCode: 404, message: 'no such rate', error: 'Not Found' };
    for (const response of responses) {
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual(expected);
    }
    expect(runs).toEqual(['missing']);
  });

  it("answers every request as the leader's is answered, when it ends with an HttpException of the application", async () => {
    const responses = await fetchFromBoth('/gone', 'RatesController.gone');
    for (const response of responses) {
      expect(response.status).toBe(409);
      expect(await response.json()).toEqual({ title: 'out of stock' });
    }
    expect(runs).toEqual(['gone']);
  });

  it('refuses an Observable, for the caller that did the work too', async () => {
    const stream = app.app.get(Rates).undeclared() as Promise<unknown>;
    await expect(stream).rejects.toThrow('streams cannot be shared');
    expect(runs).toEqual(['undeclared']);
  });

  it("answers every request as the leader's is answered, when it gets no permit", async () => {
    const responses = await fetchFromBoth('/busy', 'RatesController.busy');
    for (const response of responses) {
      expect(response.status).toBe(429);
      expect(response.headers.get('retry-after')).toBe('2');
      expect(await response.json()).toMatchObject({ code: 'SEMAPHORE_BUSY', retryAfterMs: 1500 });
    }
    expect(runs).toEqual(['busy']);
  });

  it('keeps results for later calls, tells arguments apart, and forgets', async () => {
    gate.pass();
    const rates = app.app.get(Rates);
    const other = apps[1]!.app.get(Rates);
    const day = new Date(1);
    expect(await rates.rateOf('EUR', day)).toBe('upstream EUR');
    expect(await other.rateOf('EUR', new Date(1))).toBe('upstream EUR');
    expect(await other.rateOf('EUR', new Date(2))).toBe('upstream EUR');
    expect(runs).toHaveLength(2);
    const flights = app.app.get(SingleFlightService);
    await flights.forget(flights.keyOf('Rates.rateOf', 'EUR', day));
    await other.rateOf('EUR', day);
    expect(runs).toHaveLength(3);
  });

  it('takes the key from the arguments that matter', async () => {
    const rates = app.app.get(Rates);
    const calls = [1, 2].map((n) => rates.ofUser({ id: 'u1', seenAt: () => n }));
    await gate.reached;
    gate.pass();
    expect(await Promise.all(calls)).toEqual(['u1', 'u1']);
    expect(runs).toEqual(['u1']);
  });

  it('refuses arguments that cannot be compared, for their caller alone', async () => {
    gate.pass();
    const rates = app.app.get(Rates);
    const bad = rates.rateOf((() => 'EUR') as unknown as string);
    await expect(bad).rejects.toBeInstanceOf(InvalidOptionsError);
    expect(await rates.rateOf('EUR')).toBe('upstream EUR');
  });

  it('lets a method call the one that it overrides', async () => {
    gate.pass();
    const rounded = app.app.get(RoundedRates);
    expect(await rounded.rateOf('EUR')).toBe('about rounded EUR');
    expect(await app.app.get(Rates).rateOf('EUR')).toBe('upstream EUR');
    expect(runs).toEqual(['rounded EUR', 'upstream EUR']);
  });

  it('refuses a key from the arguments that is none, for its caller alone', async () => {
    const rates = app.app.get(Rates);
    for (const name of ['', undefined as unknown as string]) {
      await expect(rates.named(name)).rejects.toThrow('byArgs(…) of Rates.named');
    }
    expect(await rates.named('EUR')).toBe('EUR');
  });

  it('shares no results between a class and one that inherits from it', async () => {
    gate.pass();
    expect(await app.app.get(SpecialRates).rateOf('GBP')).toBe('special GBP');
    expect(await app.app.get(Rates).rateOf('GBP')).toBe('upstream GBP');
    expect(await apps[1]!.app.get(SpecialRates).rateOf('GBP')).toBe('special GBP');
    expect(runs).toEqual(['special GBP', 'upstream GBP']);
  });

  it('keeps name, length and metadata of the method', () => {
    const { rateOf } = Rates.prototype;
    expect([rateOf.name, rateOf.length]).toEqual(['rateOf', 2]);
    expect(new Reflector().get('topic', rateOf)).toBe('rates');
    const document = SwaggerModule.createDocument(app.app, new DocumentBuilder().build());
    expect(document.paths['/above/{currency}']?.get).toMatchObject({ summary: 'a rate' });
  });

  it('makes a promise of what a method returns at once', async () => {
    const doubled: unknown = app.app.get(Rates).twice(2);
    expect(doubled).toBeInstanceOf(Promise);
    expect(await doubled).toBe(4);
  });
});

describe('@SingleFlight()', () => {
  it.each([
    ['a generator', { *method() {} }],
    ['an async generator', { async *method() {} }],
  ])('cannot stand on %s', (_, prototype) => {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, 'method')!;
    expect(() => SingleFlight()(prototype, 'method', descriptor)).toThrow(InvalidOptionsError);
  });

  it('cannot stand on a method that returns an Observable, twice on one, or on a static one', () => {
    expect(() => {
      class Streams {
        @SingleFlight()
        watch(): Observable<number> {
          return of(1);
        }
      }
      return Streams;
    }).toThrow('streams cannot be shared');
    expect(() => {
      class Twice {
        @SingleFlight()
        @SingleFlight()
        method(): void {}
      }
      return Twice;
    }).toThrow('once');
    expect(() => {
      class Static {
        @SingleFlight()
        static method(): void {}
      }
      return Static;
    }).toThrow(/on a method, and neither on a static one .*, got "Static\.method"/u);
    expect(() => {
      @(SingleFlight() as ClassDecorator)
      class OfAClass {
        method(): void {}
      }
      return OfAClass;
    }).toThrow('got "OfAClass"');
  });

  it.each([
    [{ ttlMs: -1 }, 'ttlMs'],
    [{ jitter: 2 }, 'jitter'],
    [{ key: '' }, 'key'],
    [{ key: 5 } as never, 'key'],
    [{ serializer: {} as never }, 'serializer'],
    [{ ttl: 5 } as never, 'ttl'],
    [null as never, 'options'],
  ])('refuses %p when it decorates', (options, option) => {
    expect(() => {
      class Wrong {
        @SingleFlight(options)
        method(): void {}
      }
      return Wrong;
    }).toThrow(`@SingleFlight() on Wrong.method: Expected \`${option}\` to be `);
  });

  it('tells who called it on an instance that Nest did not make', async () => {
    await expect(new Rates().rateOf('EUR')).rejects.toThrow('an instance that Nest made');
  });

  it('names the module to import when it is missing', async () => {
    const compiling = Test.createTestingModule({ providers: [Rates] }).compile();
    await expect(compiling).rejects.toThrow(
      /add SemaphoreModule\.forRoot\(\) to the imports.*a second copy of nestjs-semaphore/u,
    );
  });

  it('is there in a module that imports SemaphoreModule, without being asked for', async () => {
    const module = await Test.createTestingModule({
      imports: [SemaphoreModule.forRoot({ log: 'none' })],
      providers: [Rates],
    }).compile();
    await module.init();
    gate.pass();
    expect(await module.get(Rates).rateOf('EUR')).toBe('upstream EUR');
    await module.close();
  });

  it('runs each call with a double of the service that has no more than `run`', async () => {
    @Injectable()
    class Prices {
      @SingleFlight({ ttlMs: 60_000 })
      async of(article: string): Promise<string> {
        return `the price of ${article}`;
      }
    }
    const run = (key: string, work: () => unknown): unknown => [key, work()];
    const module = await Test.createTestingModule({
      imports: [SemaphoreModule.forRoot({ log: 'none' })],
      providers: [Prices],
    })
      .overrideProvider(SingleFlightService)
      .useValue({ run })
      .compile();
    const [key, price] = (await module.get(Prices).of('tea')) as unknown as [string, unknown];
    expect(key).toBe('Prices.of("tea")');
    expect(await price).toBe('the price of tea');
    await module.close();
  });
});
