import {
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  ForbiddenException,
  Get,
  type NestInterceptor,
  Next,
  Param,
  ParseIntPipe,
  Req,
  RequestTimeoutException,
  Res,
  Sse,
  StreamableFile,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { get as httpGet, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { concat, NEVER, Observable, of, race, switchMap, throwError } from 'rxjs';
import {
  CurrentPermit,
  type Permit,
  Semaphore,
  SemaphoreGuard,
  SemaphoreService,
} from 'nestjs-semaphore';
import { adapters, Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;
/** What the handlers of one test did. */
let seen: string[];
let timeOut: () => void;
/** The connection of the last request to 'observed'. */
let closed: Promise<unknown>;

class Refuses implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

class Throws implements CanActivate {
  canActivate(): boolean {
    throw new ForbiddenException('thrown by a guard');
  }
}

/** A timeout interceptor whose clock is the test. */
class TimesOut implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const timeout = new Observable<never>((subscriber) => {
      timeOut = () => subscriber.error(new RequestTimeoutException());
    });
    return race(next.handle(), timeout);
  }
}

class RetriesOnce implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return new Observable((subscriber) =>
      next.handle().subscribe({
        next: (value) => subscriber.next(value),
        error: () => subscriber.add(next.handle().subscribe(subscriber)),
        complete: () => subscriber.complete(),
      }),
    );
  }
}

interface Reply {
  send(body: string): unknown;
}

const CHUNK = Buffer.alloc(64 * 1024);
const CHUNKS = 512;

function file(): StreamableFile {
  let left = CHUNKS;
  const stream = new Readable({
    read() {
      this.push(left-- > 0 ? CHUNK : null);
    },
    destroy(error, done) {
      seen.push('stream destroyed');
      done(error);
    },
  });
  return new StreamableFile(stream);
}

@Controller()
class Ends {
  constructor(private readonly semaphores: SemaphoreService) {}

  @Semaphore()
  @Get('value')
  value(): string {
    return 'done';
  }

  @Semaphore()
  @Get('promise')
  async promise(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @Semaphore()
  @Get('observable')
  observable(): Observable<string> {
    return of('done');
  }

  @Semaphore()
  @Get('throws')
  throws(): string {
    throw new BadRequestException('thrown at once');
  }

  @Semaphore()
  @Get('rejects')
  async rejects(): Promise<string> {
    await Promise.resolve();
    throw new BadRequestException('thrown later');
  }

  @Semaphore()
  @Get('errors')
  errors(): Observable<string> {
    return throwError(() => new BadRequestException('thrown by an Observable'));
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore()
  @Get('guarded')
  guarded(): string {
    return 'done';
  }

  @UseGuards(SemaphoreGuard, Refuses)
  @Semaphore()
  @Get('refused')
  refused(): string {
    return 'never';
  }

  @UseGuards(SemaphoreGuard, Throws)
  @Semaphore()
  @Get('guard-throws')
  guardThrows(): string {
    return 'never';
  }

  @Semaphore()
  @Get('pipe/:id')
  pipe(@Param('id', ParseIntPipe) id: number): number {
    return id;
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore()
  @Get('guarded-pipe/:id')
  guardedPipe(@Param('id', ParseIntPipe) id: number): number {
    return id;
  }

  @UseInterceptors(TimesOut)
  @Semaphore()
  @Get('times-out-inside')
  async timesOutInside(): Promise<string> {
    await gate.stop();
    return 'too late';
  }

  @Semaphore()
  @UseInterceptors(TimesOut)
  @Get('times-out-outside')
  async timesOutOutside(): Promise<string> {
    await gate.stop();
    return 'too late';
  }

  @UseInterceptors(RetriesOnce)
  @Semaphore()
  @Get('retried')
  retried(): string {
    seen.push('tried');
    if (seen.length === 1) throw new Error('the first time');
    return 'done';
  }

  @Semaphore()
  @Get('observed')
  async observed(@Req() request: { socket: Socket }): Promise<string> {
    closed = once(request.socket, 'close');
    seen.push('works');
    await gate.stop();
    return 'nobody reads this';
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore({ waitMs: 0 })
  @UseInterceptors(RetriesOnce)
  @Get('retried-outside')
  async retriedOutside(@CurrentPermit() permit: Permit): Promise<string> {
    await this.semaphores.use('used');
    seen.push('tried');
    if (seen.length === 1) throw new Error('the first time');
    return permit.isHeld ? 'done' : 'without a permit';
  }

  @Semaphore({ key: () => (seen.push('asked for a key') === 1 ? 'first' : '') })
  @UseInterceptors(RetriesOnce)
  @Get('retried-without-key')
  retriedWithoutKey(): string {
    throw new Error('the first time');
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore()
  @Get('guarded-observed')
  guardedObserved(@Req() request: { socket: Socket }): Promise<string> {
    return this.observed(request);
  }

  @Semaphore()
  @UseInterceptors(TimesOut)
  @Get('late-observable')
  async lateObservable(): Promise<Observable<string>> {
    await gate.stop();
    return new Observable<string>(() => {
      seen.push('subscribed');
    });
  }

  @Semaphore()
  @Sse('events')
  events(): Observable<{ data: string }> {
    return concat(of({ data: 'first' }), NEVER);
  }

  @Semaphore()
  @Sse('finite-events')
  finiteEvents(): Observable<{ data: string }> {
    return of({ data: 'first' }, { data: 'last' });
  }

  @Semaphore()
  @Get('file')
  file(): StreamableFile {
    return file();
  }

  @Semaphore()
  @Get('async-file')
  async asyncFile(): Promise<StreamableFile> {
    await Promise.resolve();
    return file();
  }

  @Semaphore()
  @Get('observable-file')
  observableFile(): Observable<StreamableFile> {
    return of(1).pipe(switchMap(() => of(file())));
  }

  @Semaphore()
  @Get('res')
  res(@Res() response: Reply): void {
    void gate.stop().then(() => response.send('done'));
  }

  @Semaphore()
  @Get('res-async')
  async resAsync(@Res() response: Reply): Promise<void> {
    await Promise.resolve();
    response.send('done');
  }

  @Semaphore()
  @Get('next')
  next(@Next() _next: () => void, @Res() response: Reply): void {
    response.send('done');
  }

  @Semaphore()
  @Get('next-later')
  nextLater(@Next() goOn: () => void): void {
    void gate.stop().then(goOn);
  }
}

/** A response whose body nobody reads until the test does. */
async function slowReader(url: string): Promise<IncomingMessage> {
  const request = httpGet(url, { agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  return response;
}

describe.each(adapters)('the end of a request on $platform', ({ platform, createAdapter }) => {
  let app: TestApp;

  beforeEach(async () => {
    gate = new Gate();
    seen = [];
    app = await TestApp.start(createAdapter, { controllers: [Ends] });
  });

  afterEach(async () => {
    gate.pass();
    await app.close();
  });

  it.each(['value', 'observable'])('frees the permit when a handler returns: %s', async (path) => {
    const response = await app.fetch(`/${path}`);
    expect(await response.text()).toBe('done');
    await app.expectFreed(`Ends.${path}`);
  });

  it('holds the permit until the promise settles', async () => {
    const response = app.fetch('/promise');
    await gate.reached;
    await app.expectHeld('Ends.promise');
    gate.pass();
    expect(await (await response).text()).toBe('done');
    await app.expectFreed('Ends.promise');
  });

  it.each([
    ['throws', 'thrown at once'],
    ['rejects', 'thrown later'],
    ['errors', 'thrown by an Observable'],
  ])('frees the permit when a handler throws: %s', async (path, message) => {
    const response = await app.fetch(`/${path}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ message });
    await app.expectFreed(`Ends.${path}`);
  });

  it('acquires once for guard and handler', async () => {
    const response = await app.fetch('/guarded');
    expect(await response.text()).toBe('done');
    await app.expectFreed('Ends.guarded');
  });

  it.each([
    ['refused', 'refused'],
    ['guard-throws', 'guardThrows'],
  ])("frees the guard's permit when a later guard ends the request: %s", async (path, method) => {
    const response = await app.fetch(`/${path}`);
    expect(response.status).toBe(403);
    await app.expectFreed(`Ends.${method}`);
  });

  it.each([
    ['pipe', 'pipe'],
    ['guarded-pipe', 'guardedPipe'],
  ])('frees the permit when a pipe throws: %s', async (path, method) => {
    const response = await app.fetch(`/${path}/not-a-number`);
    expect(response.status).toBe(400);
    await app.expectFreed(`Ends.${method}`);
  });

  it.each([
    ['times-out-inside', 'timesOutInside'],
    ['times-out-outside', 'timesOutOutside'],
  ])('answers a timeout at once, and frees the permit with the work: %s', async (path, method) => {
    const response = app.fetch(`/${path}`);
    await gate.reached;
    timeOut();
    expect((await response).status).toBe(408);
    await app.expectHeld(`Ends.${method}`);
    gate.pass();
    await app.expectFreed(`Ends.${method}`);
  });

  it('runs the handler again under the same permit when an interceptor retries', async () => {
    const response = await app.fetch('/retried');
    expect(await response.text()).toBe('done');
    expect(seen).toEqual(['tried', 'tried']);
    await app.expectFreed('Ends.retried');
  });

  it('leaves the queue at once when the client disconnects while its request waits', async () => {
    const key = 'Ends.observed';
    const first = app.fetch('/observed');
    await gate.reached;
    const client = new AbortController();
    const second = app.fetch('/observed', { signal: client.signal });
    await app.happened('waiting', key);
    client.abort();
    await expect(second).rejects.toThrow('abort');
    expect(await app.happened('rejected', key)).toMatchObject({ reason: 'aborted' });
    expect(await app.semaphores.inspect(key)).toMatchObject({ held: 1, waiters: [] });
    gate.pass();
    expect((await first).status).toBe(200);
    expect(seen.filter((what) => what === 'works')).toHaveLength(1);
    await app.expectFreed(key);
  });

  it('acquires again when an interceptor around it retries, though the guard had a permit', async () => {
    const response = await app.fetch('/retried-outside');
    expect(await response.text()).toBe('done');
    await app.expectFreed('Ends.retriedOutside', 2);
    await app.expectFreed('used', 2);
  });

  it('answers when another attempt fails before it has begun', async () => {
    expect((await app.fetch('/retried-without-key')).status).toBe(500);
    expect(seen).toHaveLength(2);
  });

  it.each([
    ['observed', 'observed'],
    ['guarded-observed', 'guardedObserved'],
  ])(
    'frees nothing when the client disconnects while the handler works: %s',
    async (path, method) => {
      await app.leave(`/${path}`, gate.reached);
      await closed;
      await app.expectHeld(`Ends.${method}`);
      gate.pass();
      await app.expectFreed(`Ends.${method}`);
    },
  );

  it('frees the permit when an SSE client disconnects', async () => {
    const client = new AbortController();
    const response = await app.fetch('/events', { signal: client.signal });
    await response.body?.getReader().read();
    await app.expectHeld('Ends.events');
    client.abort();
    await app.expectFreed('Ends.events');
  });

  it('frees the permit when the events of an SSE stream are over', async () => {
    const response = await app.fetch('/finite-events');
    expect(await response.text()).toContain('last');
    await app.expectFreed('Ends.finiteEvents');
  });

  it.each([
    ['file', 'file'],
    ['async-file', 'asyncFile'],
    ['observable-file', 'observableFile'],
  ])('holds the permit until a slow reader has the whole file: %s', async (path, method) => {
    const response = await slowReader(`${app.url}/${path}`);
    await app.expectHeld(`Ends.${method}`);
    let length = 0;
    for await (const chunk of response) length += (chunk as Buffer).length;
    expect(length).toBe(CHUNK.length * CHUNKS);
    await app.expectFreed(`Ends.${method}`);
  });

  it('frees the permit when the client leaves in the middle of a file', async () => {
    const response = await slowReader(`${app.url}/file`);
    await app.expectHeld('Ends.file');
    response.destroy();
    await app.expectFreed('Ends.file');
    expect(seen).toEqual(['stream destroyed']);
  });

  it('holds the permit until a handler with @Res() has answered', async () => {
    const response = app.fetch('/res');
    await gate.reached;
    await app.expectHeld('Ends.res');
    gate.pass();
    expect(await (await response).text()).toBe('done');
    await app.expectFreed('Ends.res');
  });

  it('frees the permit when the client leaves a handler with @Res()', async () => {
    await app.leave('/res', gate.reached);
    await app.expectFreed('Ends.res');
  });

  it.each([
    ['res-async', 'resAsync'],
    ['next', 'next'],
  ])('frees the permit when the handler has answered by itself: %s', async (path, method) => {
    expect(await (await app.fetch(`/${path}`)).text()).toBe('done');
    await app.expectFreed(`Ends.${method}`);
  });

  // Fastify has no next().
  if (platform === 'Express') {
    it('holds the permit until what comes after a handler with @Next() has answered', async () => {
      const response = app.fetch('/next-later');
      await gate.reached;
      await app.expectHeld('Ends.nextLater');
      gate.pass();
      expect((await response).status).toBe(404);
      await app.expectFreed('Ends.nextLater');
    });
  }

  it.each(['value', 'file', 'events'])('frees the permit after HEAD: %s', async (path) => {
    const response = await app.fetch(`/${path}`, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
    await app.expectFreed(`Ends.${path}`);
  });

  it('frees the permit of an Observable that came too late to be read', async () => {
    const response = app.fetch('/late-observable');
    await gate.reached;
    timeOut();
    expect((await response).status).toBe(408);
    await app.expectHeld('Ends.lateObservable');
    gate.pass();
    await app.expectFreed('Ends.lateObservable');
    expect(seen).toEqual([]);
  });
});
