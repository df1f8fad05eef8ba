import { Controller, type INestMicroservice, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import * as microservices from '@nestjs/microservices';
import {
  type ClientProxy,
  ClientProxyFactory,
  MessagePattern,
  type MicroserviceOptions,
  RpcException,
  Transport,
} from '@nestjs/microservices';
import { WsException } from '@nestjs/websockets';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { lastValueFrom } from 'rxjs';
import { SemaphoreModule, SemaphoreService, SingleFlight } from 'nestjs-semaphore';
import { Job, Pilots, untilFollowed } from '../support/flights.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

class NoRateException extends RpcException {}

let redis: RedisServer;
let job: Job<string>;

@Controller()
class Rates {
  @SingleFlight()
  @MessagePattern('rate')
  rate(): Promise<string> {
    return job.work(new AbortController().signal);
  }
}

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

async function serve(keyPrefix: string): Promise<{ app: INestMicroservice; client: ClientProxy }> {
  @Module({
    imports: [SemaphoreModule.forRoot({ redis: redis.url, keyPrefix, log: 'none' })],
    controllers: [Rates],
  })
  class App {}
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(App, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
    logger: false,
  });
  await app.listen();
  const server = app.unwrap<{ address(): { port: number } }>();
  const { port } = server.address();
  const options = { host: '127.0.0.1', port };
  return { app, client: ClientProxyFactory.create({ transport: Transport.TCP, options }) };
}

it('answers clients of all microservices alike, when the work ends with an RpcException', async () => {
  const prefix = uniquePrefix('rpc');
  const [one, other] = [await serve(prefix), await serve(prefix)];
  const ask = ({ client }: typeof one): Promise<unknown> =>
    lastValueFrom(client.send<unknown>('rate', {})).catch((error: unknown) => error);
  try {
    job = new Job();
    const asked = [ask(one)];
    await job.started;
    asked.push(ask(other));
    await untilFollowed({ semaphores: one.app.get(SemaphoreService) }, 'Rates.rate');
    job.fail(new NoRateException({ code: 'NO_RATE', currency: 'XXX' }));
    const answer = { code: 'NO_RATE', currency: 'XXX' };
    expect(await Promise.all(asked)).toEqual([answer, answer]);
    expect(job.runs).toBe(1);
  } finally {
    for (const { app, client } of [one, other]) {
      await client.close();
      await app.close();
    }
  }
});

// Nest 11 has none.
const grpc =
  'GrpcException' in microservices
    ? [
        [
          'GrpcException',
          microservices.GrpcException,
          new microservices.GrpcNotFoundException('no rate'),
        ] as const,
      ]
    : [];

it.each([
  ['WsException', WsException, new WsException({ status: 'error', message: 'no rate' })],
  ['RpcException of the application', RpcException, new NoRateException('no rate')],
  ...grpc,
])('makes an error one again in other processes: %s', async (_, ExceptionClass, error) => {
  await using pilots = new Pilots({ redis: redis.url });
  const [leader, follower] = [pilots.join(), pilots.join()];
  job = new Job();
  const calls = [leader.flights.run('rate', job.work)];
  await job.started;
  calls.push(follower.flights.run('rate', job.work));
  await untilFollowed(leader, 'rate');
  job.fail(error);
  const [own, copy] = (await Promise.allSettled(calls)).map(
    (call) => (call as PromiseRejectedResult).reason as WsException,
  );
  expect(own).toBe(error);
  expect(copy).toBeInstanceOf(ExceptionClass);
  expect([copy!.message, copy!.getError()]).toEqual([error.message, error.getError()]);
  expect(job.runs).toBe(1);
});
