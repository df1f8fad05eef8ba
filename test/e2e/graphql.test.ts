import {
  Args,
  Context,
  Field,
  GraphQLModule,
  ID,
  Int,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import {
  type CanActivate,
  ForbiddenException,
  Injectable,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  byArgs,
  CurrentPermit,
  type Permit,
  Semaphore,
  SemaphoreGuard,
  SemaphoreInterceptor,
  SemaphoreService,
  SingleFlight,
} from 'nestjs-semaphore';
import { Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;

@Injectable()
class Throws implements CanActivate {
  canActivate(): boolean {
    throw new ForbiddenException();
  }
}

@ObjectType()
class Report {
  @Field(() => ID)
  id!: string;

  @Field()
  text?: string;
}

@ObjectType()
class Page {
  @Field(() => [String])
  items = ['a', 'b'];

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    yield* this.items;
  }
}

@Resolver(() => Report)
class Reports {
  private count = 0;

  constructor(private readonly semaphores: SemaphoreService) {}

  @Semaphore()
  @Query(() => Report)
  report(@Args('id') id: string): Report {
    return { id };
  }

  @Query(() => [Report])
  reports(): Report[] {
    return [{ id: '1' }, { id: '2' }, { id: '3' }];
  }

  @Semaphore()
  @ResolveField(() => String)
  async text(@Parent() report: Report): Promise<string> {
    return `text ${report.id}`;
  }

  @Semaphore()
  @Query(() => Page)
  page(): Page {
    return new Page();
  }

  @Query(() => String)
  @Semaphore()
  permit(@CurrentPermit() permit: Permit): string {
    return `${permit.key} ${permit.isHeld}`;
  }

  @Semaphore({ waitMs: 0 })
  @Query(() => String)
  async busy(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @Semaphore()
  @Query(() => String)
  async slow(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @Semaphore({ key: byArgs((id: string) => `report:${id}`) })
  @Query(() => String)
  byArgs(@Args('id') id: string): string {
    return id;
  }

  @Semaphore()
  @Query(() => String)
  inContext(@Context() context: object): string {
    return typeof context;
  }

  @UseInterceptors(SemaphoreInterceptor)
  @Query(() => String)
  async uses(): Promise<string> {
    return (await this.semaphores.use('used')).key;
  }

  @SingleFlight()
  @Query(() => Int)
  async runs(): Promise<number> {
    return ++this.count;
  }

  @Query(() => String)
  service(): Promise<string> {
    return this.semaphores.withPermit('service', () => 'done', { waitMs: 0 });
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore()
  @Query(() => String)
  guarded(@CurrentPermit() permit: Permit): string {
    return permit.key;
  }

  @UseGuards(SemaphoreGuard, Throws)
  @Semaphore()
  @Query(() => String)
  refused(): string {
    return 'never';
  }
}

interface Answer {
  data: Record<string, unknown> | null;
  errors?: { message: string; extensions: Record<string, unknown> }[];
}

describe('@Semaphore() on a GraphQL resolver', () => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    app = await TestApp.start(() => new ExpressAdapter(), {
      imports: [
        GraphQLModule.forRoot<ApolloDriverConfig>({
          driver: ApolloDriver,
          autoSchemaFile: true,
          fieldResolverEnhancers: ['guards', 'interceptors', 'filters'],
        }),
      ],
      providers: [Reports],
    });
  });

  afterEach(async () => {
    gate.pass();
    await app.close();
  });

  async function ask(query: string, signal?: AbortSignal): Promise<Answer> {
    const response = await app.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
      ...(signal && { signal }),
    });
    return (await response.json()) as Answer;
  }

  it('runs queries under a permit', async () => {
    expect((await ask('{ report(id: "1") { id } }')).data).toEqual({ report: { id: '1' } });
    await app.expectFreed('Reports.report');
    expect((await ask('{ permit }')).data).toEqual({ permit: 'Reports.permit true' });
    await app.expectFreed('Reports.permit');
    expect((await ask('{ byArgs(id: "7") }')).data).toEqual({ byArgs: '7' });
    await app.expectFreed('report:7');
  });

  it('frees the permit of an iterable object of which only fields are read', async () => {
    expect((await ask('{ page { items } }')).data).toEqual({ page: { items: ['a', 'b'] } });
    await app.expectFreed('Reports.page');
  });

  it('puts one listener on a response, however many fields wait', async () => {
    const warned = jest.fn();
    process.on('warning', warned);
    const many = Array.from({ length: 20 }, (_, n) => `f${n}: report(id: "${n}") { id }`);
    expect((await ask(`{ ${many.join(' ')} }`)).errors).toBeUndefined();
    await app.expectFreed('Reports.report', 20);
    process.off('warning', warned);
    expect(warned).not.toHaveBeenCalled();
  });

  it('acquires once for each field', async () => {
    const { data } = await ask('{ reports { text } }');
    expect(data).toEqual({ reports: [{ text: 'text 1' }, { text: 'text 2' }, { text: 'text 3' }] });
    await app.expectFreed('Reports.text', 3);
  });

  it.each([
    ['inContext', 'Reports.inContext', 'object'],
    ['uses', 'used', 'used'],
  ])('frees what one field holds before another is read: %s', async (field, key, value) => {
    const { data } = await ask(`{ first: ${field} second: ${field} }`);
    expect(data).toEqual({ first: value, second: value });
    await app.expectFreed(key, 2);
  });

  it('answers with a GraphQL error that has a code', async () => {
    const first = ask('{ busy }');
    await gate.reached;
    const { errors } = await ask('{ busy }');
    expect(errors).toEqual([
      expect.objectContaining({
        message: expect.stringContaining('Try again later'),
        extensions: expect.objectContaining({
          code: 'SEMAPHORE_BUSY',
          retryAfterMs: expect.any(Number),
        }),
      }),
    ]);
    gate.pass();
    expect((await first).data).toEqual({ busy: 'done' });
  });

  it('maps an error that a service threw', async () => {
    await using _permit = await app.semaphores.acquire('service');
    const { errors } = await ask('{ service }');
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'SEMAPHORE_BUSY' });
  });

  it('leaves the queue when the client disconnects', async () => {
    const first = ask('{ slow }');
    await gate.reached;
    const client = new AbortController();
    const second = ask('{ slow }', client.signal);
    await app.happened('waiting', 'Reports.slow');
    client.abort();
    await expect(second).rejects.toThrow('abort');
    expect(await app.happened('rejected', 'Reports.slow')).toMatchObject({ reason: 'aborted' });
    gate.pass();
    expect((await first).data).toEqual({ slow: 'done' });
    await app.expectFreed('Reports.slow');
  });

  it('shares a flight of a query without arguments, which Nest calls with the context of each', async () => {
    expect((await ask('{ first: runs second: runs }')).data).toEqual({ first: 1, second: 1 });
  });

  it("works under the guard's permit, which later guards give back", async () => {
    expect((await ask('{ guarded }')).data).toEqual({ guarded: 'Reports.guarded' });
    await app.expectFreed('Reports.guarded');
    expect((await ask('{ refused }')).errors).toHaveLength(1);
    await app.expectFreed('Reports.refused');
  });
});
