import { Controller } from '@nestjs/common';
import { type CustomTransportStrategy, GrpcMethod, Server } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EventEmitter, once } from 'node:events';
import { defer, lastValueFrom, map, type Observable } from 'rxjs';
import { Semaphore, SemaphoreService } from 'nestjs-semaphore';
import { Gate, TestApp } from '../support/nest-app.js';

const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;

let gate: Gate;
/** Where the reading of an Observable stops. */
let reading: Gate;

@Controller()
class Reports {
  constructor(private readonly semaphores: SemaphoreService) {}

  @GrpcMethod('Reports', 'Create')
  @Semaphore({ maxWaiting: 1 })
  async create(text: string): Promise<string> {
    await gate.stop();
    return text;
  }

  @GrpcMethod('Reports', 'Read')
  @Semaphore()
  async read(text: string): Promise<Observable<string>> {
    await gate.stop();
    return defer(() => reading.stop()).pipe(map(() => text));
  }

  @GrpcMethod('Reports', 'InTime')
  @Semaphore({ key: 'service', waitMs: 1 })
  inTime(): string {
    return 'never';
  }

  @GrpcMethod('Reports', 'Service')
  service(): Promise<string> {
    return this.semaphores.withPermit('service', () => 'done', { waitMs: 0 });
  }
}

/** Of a call what a gRPC server gives to handlers. */
class Call extends EventEmitter {
  cancelled = false;

  getPeer(): string {
    return '127.0.0.1:50051';
  }

  sendMetadata(): void {}

  /** As the server does it for a client that gives up, or whose deadline is over. */
  cancel(): void {
    this.cancelled = true;
    this.emit('cancelled', 'cancelled');
  }
}

/** Calls handlers as Nest's server for gRPC does, which would need packages of its own. */
class GrpcServer extends Server implements CustomTransportStrategy {
  listen(callback: () => void): void {
    callback();
  }

  close(): void {}

  on(): void {}

  unwrap<T>(): T {
    throw new Error('There is no server');
  }

  async call(rpc: string, call = new Call()): Promise<unknown> {
    const pattern = this.normalizePattern({ service: 'Reports', rpc, streaming: 'no_stream' });
    const handler: ((...args: unknown[]) => unknown) | null = this.getHandlerByPattern(pattern);
    return lastValueFrom(this.transformToObservable(await handler!('hello', {}, call)));
  }
}

describe('gRPC', () => {
  let app: TestApp;
  let server: GrpcServer;

  beforeEach(async () => {
    gate = new Gate();
    reading = new Gate();
    server = new GrpcServer();
    app = await TestApp.start(
      () => new ExpressAdapter(),
      { controllers: [Reports] },
      {},
      async (nest) => {
        nest.connectMicroservice({ strategy: server }, { inheritAppConfig: true });
        await nest.startAllMicroservices();
      },
    );
  });

  afterEach(async () => {
    gate.pass();
    reading.pass();
    await app.close();
  });

  it('gets a status of its own for a refusal', async () => {
    await using _service = await app.semaphores.acquire('service');
    await expect(server.call('Service')).rejects.toMatchObject({ code: RESOURCE_EXHAUSTED });
    await expect(server.call('InTime')).rejects.toMatchObject({ code: RESOURCE_EXHAUSTED });
    await using held = await app.semaphores.acquire('Reports.create');
    const waiting = server.call('Create');
    await app.happened('waiting', 'Reports.create');
    await expect(server.call('Create')).rejects.toMatchObject({ code: UNAVAILABLE });
    gate.pass();
    await held.release();
    expect(await waiting).toBe('hello');
  });

  it.each([
    ['at once', () => undefined],
    ['later', (call: Call) => once(call, 'newListener')],
  ])('leaves the queue when its client gives up %s', async (_when, moment) => {
    await using held = await app.semaphores.acquire('Reports.create');
    const call = new Call();
    const isTime = moment(call);
    const answer = expect(server.call('Create', call)).rejects.toMatchObject({ code: UNAVAILABLE });
    await app.happened('waiting', 'Reports.create');
    await isTime;
    call.cancel();
    await answer;
    expect(await app.semaphores.inspect('Reports.create')).toMatchObject({ waiters: [] });
    await held.release();
    await app.expectFreed('Reports.create');
  });

  it('keeps its permit until its work is over when its client gives up', async () => {
    const call = new Call();
    const answer = server.call('Create', call);
    await gate.reached;
    call.cancel();
    await app.expectHeld('Reports.create');
    gate.pass();
    await answer;
    await app.expectFreed('Reports.create');
  });

  it('and until it was read', async () => {
    const call = new Call();
    const answer = server.call('Read', call);
    await gate.reached;
    call.cancel();
    gate.pass();
    await reading.reached;
    await app.expectHeld('Reports.read');
    reading.pass();
    expect(await answer).toBe('hello');
    await app.expectFreed('Reports.read');
  });
});
