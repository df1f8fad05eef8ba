import { Controller, type INestApplication, Logger } from '@nestjs/common';
import {
  type ClientProxy,
  ClientProxyFactory,
  EventPattern,
  MessagePattern,
  type MicroserviceOptions,
  Payload,
  RpcException,
  Transport,
} from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { concat, defer, lastValueFrom, Observable, of, toArray } from 'rxjs';
import { byArgs, CurrentPermit, type Permit, Semaphore, SemaphoreService } from 'nestjs-semaphore';
import { Gate, TestApp } from '../support/nest-app.js';

let gate: Gate;

@Controller()
class Reports {
  constructor(private readonly semaphores: SemaphoreService) {}

  @Semaphore()
  @MessagePattern('value')
  value(@Payload() text: string, @CurrentPermit() permit: Permit): string {
    return `${text} ${permit.key}`;
  }

  @MessagePattern('stream')
  @Semaphore({ key: byArgs((text: string) => `stream:${text}`) })
  stream(@Payload() text: string): Observable<string> {
    return concat(
      of(text),
      defer(async () => {
        await gate.stop();
        return 'last';
      }),
    );
  }

  @Semaphore({ waitMs: 0 })
  @MessagePattern('busy')
  async busy(): Promise<string> {
    await gate.stop();
    return 'done';
  }

  @Semaphore()
  @MessagePattern('throws')
  throws(): string {
    throw new RpcException('thrown by the handler');
  }

  @Semaphore()
  @EventPattern('event')
  async event(@Payload() _data: string): Promise<void> {
    await gate.stop();
  }

  @EventPattern('service event')
  async serviceEvent(@Payload() data: string): Promise<void> {
    await this.semaphores.withPermit(data, () => undefined, { waitMs: 0 });
  }

  @MessagePattern('service')
  service(): Promise<string> {
    return this.semaphores.withPermit('service', () => 'done', { waitMs: 0 });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe.each([
  { kind: 'hybrid application', inheritAppConfig: false },
  { kind: 'hybrid application with the configuration of the application', inheritAppConfig: true },
])('@Semaphore() on a TCP microservice: $kind', ({ inheritAppConfig }) => {
  let app: TestApp;
  let client: ClientProxy;

  beforeEach(async () => {
    gate = new Gate();
    const tcp = { host: '127.0.0.1', port: await freePort() };
    const configure = async (nest: INestApplication): Promise<void> => {
      const options: MicroserviceOptions = { transport: Transport.TCP, options: tcp };
      nest.connectMicroservice(options, { inheritAppConfig });
      await nest.startAllMicroservices();
    };
    const metadata = { controllers: [Reports] };
    const options = { log: 'problems' } as const;
    app = await TestApp.start(() => new ExpressAdapter(), metadata, options, configure);
    client = ClientProxyFactory.create({ transport: Transport.TCP, options: tcp });
  });

  afterEach(async () => {
    gate.pass();
    await client.close();
    await app.close();
  });

  function send(pattern: string, data = ''): Promise<unknown> {
    return lastValueFrom(client.send(pattern, data));
  }

  it('runs message handlers under a permit', async () => {
    expect(await send('value', 'hello')).toBe('hello Reports.value');
    await app.expectFreed('Reports.value');
  });

  it('holds the permit until the Observable is finished', async () => {
    const replies = lastValueFrom(client.send('stream', 'first').pipe(toArray()));
    await gate.reached;
    await app.expectHeld('stream:first');
    gate.pass();
    expect(await replies).toEqual(['first', 'last']);
    await app.expectFreed('stream:first');
  });

  it("frees the permit when the handler throws, and passes the handler's own error on", async () => {
    await expect(send('throws')).rejects.toMatchObject({ message: 'thrown by the handler' });
    await app.expectFreed('Reports.throws');
  });

  it("answers with the transport's own error", async () => {
    const first = send('busy');
    await gate.reached;
    await expect(send('busy')).rejects.toEqual({
      status: 'error',
      code: 'SEMAPHORE_BUSY',
      message: expect.stringContaining('Try again later'),
      retryAfterMs: expect.any(Number),
    });
    gate.pass();
    expect(await first).toBe('done');
  });

  it('runs event handlers under a permit', async () => {
    await lastValueFrom(client.emit('event', ''), { defaultValue: undefined });
    await gate.reached;
    await app.expectHeld('Reports.event');
    gate.pass();
    await app.expectFreed('Reports.event');
  });

  it('maps an error that a service threw, with the configuration of the application', async () => {
    const answer = inheritAppConfig
      ? { code: 'SEMAPHORE_BUSY' }
      : { message: 'Internal server error' };
    await using _permit = await app.semaphores.acquire('service');
    await expect(send('service')).rejects.toMatchObject(answer);
  });

  it('leaves a trace of an event that a service refused', async () => {
    const told = new Promise<unknown>((resolve) => {
      Logger.overrideLogger({ log: () => undefined, warn: resolve, error: resolve });
    });
    await using _permit = await app.semaphores.acquire('orders');
    await lastValueFrom(client.emit('service event', 'orders'), { defaultValue: undefined });
    expect(inheritAppConfig ? await told : ((await told) as Error).message).toContain('"orders"');
    Logger.overrideLogger(false);
  });

  it('stays in the queue when the client disconnects: Nest does not tell', async () => {
    await using held = await app.semaphores.acquire('Reports.value');
    client.send('value', '').subscribe({ error: () => undefined });
    await app.happened('waiting', 'Reports.value');
    await client.close();
    await held.release();
    await app.happened('acquired', 'Reports.value', 2);
  });
});
