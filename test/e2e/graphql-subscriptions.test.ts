import { GraphQLModule, Query, Resolver, Subscription } from '@nestjs/graphql';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { type CanActivate, ForbiddenException, Injectable, UseGuards } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { Semaphore, SemaphoreGuard } from 'nestjs-semaphore';
import { Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;

@Injectable()
class Throws implements CanActivate {
  canActivate(): boolean {
    throw new ForbiddenException();
  }
}

@Resolver()
class Ticks {
  @Semaphore()
  @Subscription(() => String)
  async *endless(): AsyncGenerator<object> {
    yield { endless: 'first' };
    await gate.stop();
    yield { endless: 'second' };
  }

  @Semaphore()
  @Subscription(() => String)
  async *short(): AsyncGenerator<object> {
    yield { short: 'only' };
  }

  @UseGuards(SemaphoreGuard, Throws)
  @Semaphore()
  @Subscription(() => String)
  async *refused(): AsyncGenerator<object> {
    yield { refused: 'never' };
  }

  @Query(() => String)
  hello(): string {
    return 'hello';
  }

  @Semaphore()
  @Query(() => String)
  async slow(): Promise<string> {
    await gate.stop();
    return 'done';
  }
}

describe('@Semaphore() on what a GraphQL client asks for over its WebSocket', () => {
  let app: TestApp;
  let client: Client;

  beforeEach(async () => {
    gate = new Gate();
    app = await TestApp.start(() => new ExpressAdapter(), {
      imports: [
        GraphQLModule.forRoot<ApolloDriverConfig>({
          driver: ApolloDriver,
          autoSchemaFile: true,
          subscriptions: { 'graphql-ws': true },
        }),
      ],
      providers: [Ticks],
    });
    client = connect();
  });

  afterEach(async () => {
    gate.pass();
    await client.dispose();
    await app.close();
  });

  function connect(): Client {
    const url = `${app.url.replace('http', 'ws')}/graphql`;
    return createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 });
  }

  it('holds the permit until the subscription is over', async () => {
    const results = client.iterate({ query: 'subscription { endless }' });
    expect((await results.next()).value).toEqual({ data: { endless: 'first' } });
    await app.expectHeld('Ticks.endless');
    gate.pass();
    await results.return?.();
    await app.expectFreed('Ticks.endless');

    const short = client.iterate({ query: 'subscription { short }' });
    await short.next();
    expect((await short.next()).done).toBe(true);
    await app.expectFreed('Ticks.short');
  });

  it('takes none for a subscription that a guard refuses', async () => {
    const results = client.iterate({ query: 'subscription { refused }' });
    expect((await results.next()).value).toMatchObject({ errors: [expect.anything()] });
    await app.expectFreed('Ticks.refused', app.count('acquired', 'Ticks.refused'));
  });

  it.each([
    ['subscription { endless }', 'Ticks.endless'],
    ['{ slow }', 'Ticks.slow'],
  ])('%s leaves the queue when the client disconnects', async (query, key) => {
    await using _permit = await app.semaphores.acquire(key);
    const other = connect();
    const result = other.iterate({ query }).next();
    result.catch(() => undefined);
    await app.happened('waiting', key);
    await other.dispose();
    expect(await app.happened('rejected', key)).toMatchObject({ reason: 'aborted' });
  });
});
