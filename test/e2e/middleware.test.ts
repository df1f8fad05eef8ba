import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import {
  MemorySemaphoreStore,
  type Permit,
  type SemaphoreEvent,
  semaphoreMiddleware,
  SemaphoreService,
} from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { chains, ChainServer, type ErrorHandler, type Handler } from '../support/http-chain.js';
import { Gate } from '../support/nest-app.js';
import { nextEvent, nextEvents, rejection } from '../support/semaphores.js';
import { settled } from '../support/turns.js';

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

let semaphores: SemaphoreService;
/** Another process on the same store. */
let other: SemaphoreService;
let events: SemaphoreEvent[];
let gate: Gate;

function open(options: { clock?: VirtualClock; statusCodes?: object } = {}): void {
  const { statusCodes = {}, ...storeOptions } = options;
  const store = new MemorySemaphoreStore(storeOptions);
  semaphores = new SemaphoreService({ store, log: 'none', statusCodes });
  other = new SemaphoreService({ store, log: 'none' });
  events = [];
  semaphores.events.subscribe((event) => events.push(event));
}

beforeEach(() => {
  gate = new Gate();
  open();
});

afterEach(async () => {
  gate.pass();
  await semaphores.close();
  await other.close();
});

const count = (type: SemaphoreEvent['type']): number =>
  events.filter((event) => event.type === type).length;

/** Resolves when nobody holds the key any more, having held it so many times. */
async function freed(key: string, times = 1): Promise<void> {
  if (count('released') < times) {
    await nextEvents(semaphores, 'released', times - count('released'));
  }
  expect(count('acquired')).toBe(times);
  expect(await other.inspect(key)).toMatchObject({ held: 0, waiters: [] });
}

const answer: Handler = (_request, response) => void response.end('done');

const waitAtGate: Handler = async (_request, response) => {
  await gate.stop();
  response.end('done');
};

/** What an error handler got, and its answer. */
function errorsInto(errors: unknown[]): ErrorHandler {
  return (error, _request, response, _next) => {
    errors.push(error);
    response.statusCode = (error as { status?: number }).status ?? 500;
    response.end('refused');
  };
}

describe.each(chains)('semaphoreMiddleware in $framework', ({ createChain }) => {
  const start = (...handlers: Handler[]): Promise<ChainServer> =>
    ChainServer.start(createChain, handlers);
  /** With an error handler that takes note. */
  const startNoting = (errors: unknown[], ...handlers: Handler[]): Promise<ChainServer> =>
    ChainServer.start(createChain, handlers, errorsInto(errors));

  it('holds one permit for each request from before its handler until its end', async () => {
    const held: number[] = [];
    await using server = await start(
      semaphoreMiddleware(semaphores, { key: 'pool', permits: 5 }),
      async (_request, response) => {
        held.push((await other.inspect('pool')).held);
        response.end('done');
      },
    );
    for (let i = 0; i < 3; i++) expect(await (await server.fetch()).text()).toBe('done');
    await freed('pool', 3);
    expect(held).toEqual([1, 1, 1]);
  });

  it("gives the handler the request's permit, however often it asks", async () => {
    const permits: Permit[] = [];
    await using server = await start(
      semaphoreMiddleware(semaphores, { permits: 2, label: 'request' }),
      async (_request, response) => {
        permits.push(...(await Promise.all([semaphores.use('http'), semaphores.use('http')])));
        response.end();
      },
    );
    await server.fetch();
    await freed('http');
    expect(permits[0]).toBe(permits[1]);
    expect(permits[0]?.signal.aborted).toBe(false);
    expect(permits[0]?.label).toBe('request');
  });

  it('gives concurrent requests permits of their own', async () => {
    const ids = new Set<string>();
    await using server = await start(
      semaphoreMiddleware(semaphores, { permits: 3 }),
      async (_request, response) => {
        ids.add((await semaphores.use('http')).id);
        if (ids.size === 3) gate.pass();
        await gate.stop();
        response.end();
      },
    );
    await Promise.all([server.fetch(), server.fetch(), server.fetch()]);
    expect(ids.size).toBe(3);
    await freed('http', 3);
  });

  it('takes the key from the request', async () => {
    await using server = await start(
      semaphoreMiddleware(semaphores, {
        key: (request: IncomingMessage) => `user:${String(request.headers['x-user'])}`,
        waitMs: 0,
      }),
      waitAtGate,
    );
    const ask = (user: string) => server.fetch('/', { headers: { 'x-user': user } });
    const ann = ask('ann');
    await gate.reached;
    expect((await ask('ann')).status).toBe(429);
    const bob = ask('bob');
    await nextEvent(semaphores, 'acquired', ({ key }) => key === 'user:bob');
    gate.pass();
    expect([(await ann).status, (await bob).status]).toEqual([200, 200]);
  });

  it.each<[string, unknown, string]>([
    ['throws', new Error('of the key function'), 'of the key function'],
    ['returns no key', 5, 'key'],
  ])('passes on that the key function %s', async (_how, result, message) => {
    const errors: unknown[] = [];
    const key = (): string => {
      if (result instanceof Error) throw result;
      return result as string;
    };
    await using server = await startNoting(
      errors,
      semaphoreMiddleware(semaphores, { key }),
      answer,
    );
    expect((await server.fetch()).status).toBe(500);
    expect(errors).toEqual([
      expect.objectContaining({ message: expect.stringContaining(message) }),
    ]);
  });

  it.each([
    ['busy', 429, { waitMs: 0 }],
    ['timeout', 429, { waitMs: 10 }],
    ['queue-full', 503, { maxWaiting: 0 }],
  ])('refuses with a status and Retry-After: %s', async (reason, status, options) => {
    const errors: unknown[] = [];
    const blocking = await other.acquire('http');
    const middleware = semaphoreMiddleware(semaphores, options);
    await using own = await startNoting(errors, middleware, answer);
    await using plain = await start(middleware, answer);
    for (const server of [own, plain]) {
      const response = await server.fetch();
      expect(response.status).toBe(status);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    }
    expect(errors).toEqual([expect.objectContaining({ reason, status, statusCode: status })]);
    await blocking.release();
    expect((await own.fetch()).status).toBe(200);
  });

  it('answers as much when what the handler uses is refused, unless the handler knows better', async () => {
    await using _blocking = await other.acquire('pool', { permits: 4, weight: 3 });
    const middleware = semaphoreMiddleware(semaphores, {
      key: 'pool',
      permits: 4,
      waitMs: 0,
      acquireOnStart: false,
    });
    const useTwo = () => semaphores.use('pool', { weight: 2 });
    await using passing = await start(middleware, (_request, response, next) =>
      useTwo().then(() => response.end('done'), next),
    );
    await using knowing = await start(middleware, (_request, response) =>
      useTwo().catch(() => response.end('later')),
    );
    const refused = await passing.fetch();
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    const answered = await knowing.fetch();
    expect([answered.status, answered.headers.get('retry-after')]).toEqual([200, null]);
  });

  it('passes a refusal on when the headers of the answer are gone already', async () => {
    const errors: unknown[] = [];
    await using held = await other.acquire('http');
    await using server = await startNoting(
      errors,
      (_request, response, next) => {
        response.flushHeaders();
        next();
      },
      semaphoreMiddleware(semaphores, { waitMs: 0 }),
      answer,
    );
    expect(await (await server.fetch()).text()).toBe('refused');
    expect(errors).toMatchObject([{ reason: 'busy' }]);
    expect(held.isHeld).toBe(true);
  });

  it('answers with the status codes of the service', async () => {
    await semaphores.close();
    open({ statusCodes: { busy: 423, unavailable: 500 } });
    await using _blocking = await other.acquire('http');
    await using server = await start(semaphoreMiddleware(semaphores, { waitMs: 0 }), answer);
    expect((await server.fetch()).status).toBe(423);
    semaphores.beginClose();
    expect((await server.fetch()).status).toBe(500);
  });

  it('releases when the handler fails', async () => {
    const errors: unknown[] = [];
    await using server = await startNoting(
      errors,
      semaphoreMiddleware(semaphores),
      (_request, _response, next) => next(new Error('of the handler')),
    );
    expect((await server.fetch()).status).toBe(500);
    expect(errors).toMatchObject([{ message: 'of the handler' }]);
    await freed('http');
  });

  it('releases when the client leaves while the handler works, which is told so', async () => {
    const permits: Permit[] = [];
    await using server = await start(semaphoreMiddleware(semaphores), async (...call) => {
      permits.push(await semaphores.use('http'));
      await waitAtGate(...call);
    });
    const client = new AbortController();
    const response = server.fetch('/', { signal: client.signal });
    await gate.reached;
    await settled();
    expect(await other.inspect('http')).toMatchObject({ held: 1 });
    client.abort();
    await expect(response).rejects.toThrow('abort');
    await freed('http');
    expect(permits[0]?.signal.reason).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST' });
  });

  it('does nothing for a client that was gone before', async () => {
    const called: unknown[] = [];
    await using server = await startNoting(
      called,
      async (_request, response, next) => {
        const closed = once(response, 'close');
        void gate.stop();
        await closed;
        next();
        passed.pass();
      },
      semaphoreMiddleware(semaphores),
      (_request, response) => void response.end(called.push('handler')),
    );
    const passed = new Gate();
    const client = new AbortController();
    const response = server.fetch('/', { signal: client.signal });
    await gate.reached;
    client.abort();
    await expect(response).rejects.toThrow('abort');
    await passed.stop();
    await settled();
    expect([called, events]).toEqual([[], []]);
  });

  it('leaves errors that are no refusals to the application', async () => {
    await using _blocking = await other.acquire('http');
    await using server = await startNoting([], semaphoreMiddleware(semaphores), answer);
    const waiting = nextEvent(semaphores, 'waiting');
    const response = server.fetch();
    await other.forceRelease('http', (await waiting).permitId);
    const { status, headers } = await response;
    expect([status, headers.get('retry-after')]).toEqual([500, null]);
  });

  it('leaves the queue when the client leaves while it waits, and calls nobody', async () => {
    const called: unknown[] = [];
    const blocking = await other.acquire('http');
    await using server = await startNoting(
      called,
      semaphoreMiddleware(semaphores),
      (_request, response) => void response.end(called.push('handler')),
    );
    const waiting = nextEvent(semaphores, 'waiting');
    const client = new AbortController();
    const response = server.fetch('/', { signal: client.signal });
    await waiting;
    const rejected = nextEvent(semaphores, 'rejected');
    client.abort();
    await expect(response).rejects.toThrow('abort');
    expect(await rejected).toMatchObject({ reason: 'aborted' });
    expect(await other.inspect('http')).toMatchObject({ held: 1, waiters: [] });
    await blocking.release();
    await settled();
    expect(called).toEqual([]);
  });

  it('frees what pipelined requests hold when their connection breaks', async () => {
    await using server = await start(semaphoreMiddleware(semaphores, { permits: 2 }), waitAtGate);
    const acquired = nextEvents(semaphores, 'acquired', 2);
    const socket = await server.connect();
    socket.write(GET + GET);
    await acquired;
    socket.destroy();
    await freed('http', 2);
  });

  it('frees what pipelined requests hold when each is answered', async () => {
    await using server = await start(semaphoreMiddleware(semaphores, { permits: 1 }), answer);
    const socket = await server.connect();
    socket.write(GET.repeat(5));
    await freed('http', 5);
    socket.destroy();
  });

  it('with acquireOnStart: false takes the permit with the first use, by its own options', async () => {
    const heldBefore: number[] = [];
    await using server = await start(
      semaphoreMiddleware(semaphores, { key: 'pool', permits: 5, acquireOnStart: false }),
      async (request, response) => {
        heldBefore.push((await other.inspect('pool')).held);
        if (request.url === '/lazy') {
          expect(await semaphores.use('pool')).toBe(await semaphores.use('pool'));
          expect(await other.inspect('pool')).toMatchObject({ held: 1, permits: 5 });
        }
        response.end('done');
      },
    );
    expect(await (await server.fetch('/')).text()).toBe('done');
    expect(count('acquired')).toBe(0);
    expect(await (await server.fetch('/lazy')).text()).toBe('done');
    await freed('pool');
    expect(heldBefore).toEqual([0, 0]);
  });

  it('frees what else was used, and refuses a use after the end', async () => {
    let late: Promise<unknown> | undefined;
    await using server = await start(
      semaphoreMiddleware(semaphores, { acquireOnStart: false }),
      async (_request, response) => {
        await semaphores.use('a');
        await semaphores.use('b');
        const ended = nextEvents(semaphores, 'released', 2);
        late = ended.then(() => rejection(semaphores.use('c')));
        response.end('done');
      },
    );
    await server.fetch();
    expect(await late).toMatchObject({ code: 'SEMAPHORE_NO_SCOPE', reason: 'ended' });
    expect([await other.inspect('a'), await other.inspect('b')]).toMatchObject([
      { held: 0 },
      { held: 0 },
    ]);
  });

  it('with releaseOnEnd: false leaves the permit until its lease ends, and frees the rest', async () => {
    await semaphores.close();
    const clock = new VirtualClock();
    open({ clock });
    await using server = await start(
      semaphoreMiddleware(semaphores, { leaseMs: 60_000, releaseOnEnd: false }),
      async (_request, response) => {
        await semaphores.use('rest');
        response.end('done');
      },
    );
    const released = nextEvent(semaphores, 'released');
    await server.fetch();
    expect(await released).toMatchObject({ key: 'rest' });
    await clock.advance(50_000);
    expect(await other.inspect('http')).toMatchObject({ held: 1 });
    await clock.advance(10_000);
    expect(await other.inspect('http')).toMatchObject({ held: 0 });
  });

  it('with releaseOnEnd: false lets the handler release it after the response', async () => {
    const finished = new Gate();
    await using server = await start(
      semaphoreMiddleware(semaphores, { releaseOnEnd: false, renew: true, leaseMs: 1000 }),
      async (_request, response) => {
        const permit = await semaphores.use('http');
        response.on('close', () => void finished.stop());
        response.end('accepted');
        await gate.stop();
        await permit.release();
      },
    );
    const renewed = nextEvent(semaphores, 'renewed');
    await server.fetch();
    await finished.reached;
    await renewed;
    expect(await other.inspect('http')).toMatchObject({ held: 1 });
    gate.pass();
    await freed('http');
  });

  it('with releaseOnEnd: false leaves no permit for a client that left the queue', async () => {
    const blocking = await other.acquire('http');
    await using server = await start(
      semaphoreMiddleware(semaphores, { releaseOnEnd: false }),
      answer,
    );
    const waiting = nextEvent(semaphores, 'waiting');
    const client = new AbortController();
    const response = server.fetch('/', { signal: client.signal });
    await waiting;
    const rejected = nextEvent(semaphores, 'rejected');
    client.abort();
    await expect(response).rejects.toThrow('abort');
    await rejected;
    await blocking.release();
    expect(await other.inspect('http')).toMatchObject({ held: 0, waiters: [] });
  });

  it('twice in a chain is one scope: each key is taken once', async () => {
    await using server = await start(
      semaphoreMiddleware(semaphores, { key: 'all', permits: 9 }),
      semaphoreMiddleware(semaphores, { key: 'some', permits: 3 }),
      semaphoreMiddleware(semaphores, { key: 'all' }),
      async (_request, response) => {
        await semaphores.use('all');
        expect(await other.inspect('all')).toMatchObject({ permits: 9, held: 1 });
        expect(await other.inspect('some')).toMatchObject({ permits: 3, held: 1 });
        response.end('done');
      },
    );
    expect((await server.fetch()).status).toBe(200);
    await freed('all', 2); // 'some' is the other one
  });

  it('keeps the async context of what is before it in the chain', async () => {
    const requests = new AsyncLocalStorage<string>();
    await using server = await start(
      (_request, _response, next) => requests.run('mine', next),
      semaphoreMiddleware(semaphores),
      (_request, response) => void response.end(requests.getStore()),
    );
    expect(await (await server.fetch()).text()).toBe('mine');
  });
});

describe('the options of semaphoreMiddleware', () => {
  it('come after a service', () => {
    expect(() => semaphoreMiddleware(undefined as never)).toThrow(
      /^semaphoreMiddleware\(\): Expected `semaphores` to be a SemaphoreService.*, got `undefined`/u,
    );
  });

  it.each<[object, string]>([
    [{ key: '' }, 'key'],
    [{ key: 5 }, 'key'],
    [{ acquireOnStart: 'yes' }, 'acquireOnStart'],
    [{ releaseOnEnd: 0 }, 'releaseOnEnd'],
    [{ permits: 0 }, 'permits'],
    [{ permits: 2, weight: 3 }, 'weight'],
    [{ weight: 3 }, 'weight'],
    [{ signal: new AbortController().signal }, 'signal'],
    [{ other: 1 }, 'other'],
  ])('are checked when it is made: %j', (options, option) => {
    expect(() => semaphoreMiddleware(semaphores, options)).toThrow(
      expect.objectContaining({ code: 'SEMAPHORE_INVALID_OPTIONS', option }),
    );
  });
});
