import { type CanActivate, Injectable, UseFilters, UseGuards } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import {
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
} from '@nestjs/websockets';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Observable, of } from 'rxjs';
import { io, type Socket } from 'socket.io-client';
import {
  byArgs,
  CurrentPermit,
  type Permit,
  Semaphore,
  SemaphoreExceptionFilter,
  SemaphoreGuard,
  SemaphoreService,
} from 'nestjs-semaphore';
import { Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;
let left: Promise<unknown>;

@Injectable()
class Throws implements CanActivate {
  canActivate(): boolean {
    throw new WsException('no entry');
  }
}

@WebSocketGateway()
class Reports {
  constructor(private readonly semaphores: SemaphoreService) {}

  @Semaphore()
  @SubscribeMessage('value')
  value(@MessageBody() text: string, @CurrentPermit() permit: Permit): string {
    return `${text} ${permit.key}`;
  }

  @SubscribeMessage('observable')
  @Semaphore({ key: byArgs((text: string) => `text:${text}`) })
  observable(@MessageBody() text: string): Observable<string> {
    return of(text);
  }

  @Semaphore({ waitMs: 0 })
  @SubscribeMessage('busy')
  async busy(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @Semaphore()
  @SubscribeMessage('slow')
  async slow(
    @ConnectedSocket() socket: { once(event: string, listener: () => void): void },
  ): Promise<string> {
    left = new Promise<void>((resolve) => socket.once('disconnect', resolve));
    await gate.stop();
    return 'done';
  }

  @Semaphore()
  @SubscribeMessage('throws')
  throws(): string {
    throw new WsException('thrown by the handler');
  }

  @UseGuards(SemaphoreGuard)
  @Semaphore()
  @SubscribeMessage('guarded')
  guarded(@CurrentPermit() permit: Permit): string {
    return permit.key;
  }

  @UseGuards(SemaphoreGuard, Throws)
  @Semaphore()
  @SubscribeMessage('refused')
  refused(): string {
    return 'never';
  }

  @UseFilters(SemaphoreExceptionFilter)
  @SubscribeMessage('service')
  service(): Promise<string> {
    return this.semaphores.withPermit('service', () => 'done', { waitMs: 0 });
  }
}

describe('@Semaphore() on a WebSocket gateway', () => {
  let app: TestApp;
  let client: Socket;

  beforeEach(async () => {
    gate = new Gate();
    app = await TestApp.start(() => new ExpressAdapter(), { providers: [Reports] });
    client = connect();
  });

  afterEach(async () => {
    gate.pass();
    client.disconnect();
    await app.close();
  });

  function connect(): Socket {
    return io(app.url, { transports: ['websocket'], forceNew: true });
  }

  function exception(): Promise<unknown> {
    return new Promise((resolve) => client.once('exception', resolve));
  }

  it('runs message handlers under a permit', async () => {
    expect(await client.emitWithAck('value', 'hello')).toBe('hello Reports.value');
    await app.expectFreed('Reports.value');
    expect(await client.emitWithAck('observable', 'hello')).toBe('hello');
    await app.expectFreed('text:hello');
  });

  it("frees the permit when the handler throws, and passes the handler's own error on", async () => {
    client.emit('throws');
    expect(await exception()).toMatchObject({ message: 'thrown by the handler' });
    await app.expectFreed('Reports.throws');
  });

  it("answers with the transport's own error", async () => {
    client.emit('busy');
    await gate.reached;
    client.emit('busy');
    expect(await exception()).toEqual({
      status: 'error',
      code: 'SEMAPHORE_BUSY',
      message: expect.stringContaining('Try again later'),
      retryAfterMs: expect.any(Number),
    });
  });

  it('maps an error that a service threw, where the filter is bound', async () => {
    await using _permit = await app.semaphores.acquire('service');
    client.emit('service');
    expect(await exception()).toMatchObject({ code: 'SEMAPHORE_BUSY' });
  });

  it('leaves the queue when the client disconnects', async () => {
    client.emit('slow');
    await gate.reached;
    const other = connect();
    other.emit('slow');
    await app.happened('waiting', 'Reports.slow');
    other.disconnect();
    expect(await app.happened('rejected', 'Reports.slow')).toMatchObject({ reason: 'aborted' });
    gate.pass();
    await app.expectFreed('Reports.slow');
  });

  it('frees nothing when the client disconnects while the handler works', async () => {
    client.emit('slow');
    await gate.reached;
    client.disconnect();
    await left;
    await app.expectHeld('Reports.slow');
    gate.pass();
    await app.expectFreed('Reports.slow');
  });

  it('leaks nothing when a later guard throws', async () => {
    expect(await client.emitWithAck('guarded', '')).toBe('Reports.guarded');
    await app.expectFreed('Reports.guarded');
    client.emit('refused');
    expect(await exception()).toMatchObject({ message: 'no entry' });
    await app.expectFreed('Reports.refused', 0);
  });
});
