import { once } from 'node:events';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import type { SemaphoreService } from 'nestjs-semaphore';
import {
  createSemaphoreServer,
  type SemaphoreServer,
  type SemaphoreServerParts,
} from 'nestjs-semaphore/server';
import { internalsOf } from '../../lib/service-internals.js';
import { ADMIN_KEY } from '../support/lock-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { nextEvents, Semaphores } from '../support/semaphores.js';

/** A lock server over HTTP/2, whose store answers `inspect` when it is told to. */
class Http2Server implements AsyncDisposable {
  private constructor(
    readonly semaphores: SemaphoreService,
    private readonly server: SemaphoreServer,
    private readonly http: http2.Http2Server,
    private readonly client: http2.ClientHttp2Session,
  ) {}

  /** @param admit what is done before the server gets a request */
  static async start(
    semaphores: SemaphoreService,
    options: Partial<SemaphoreServerParts> = {},
    admit: () => Promise<void> = async () => undefined,
  ): Promise<Http2Server> {
    const server = createSemaphoreServer({ semaphores, apiKeys: [ADMIN_KEY], ...options });
    const http = http2.createServer((request, response) => {
      void admit().then(() => server.handler(request, response));
    });
    await once(http.listen(0, '127.0.0.1'), 'listening');
    const { port } = http.address() as AddressInfo;
    const client = http2.connect(`http://127.0.0.1:${port}`);
    return new Http2Server(semaphores, server, http, client);
  }

  request(method: string, path: string, body?: object, more = {}): http2.ClientHttp2Stream {
    const headers = { ':method': method, ':path': path, 'x-api-key': ADMIN_KEY, ...more };
    const stream = this.client.request(headers, { endStream: body === undefined });
    if (body !== undefined) stream.end(JSON.stringify(body));
    return stream.resume().on('error', () => undefined);
  }

  /** Calls that came to the store, which answers them once the second is called. */
  holdInspect(): { asked: () => number; goOn: () => void } {
    const session = internalsOf(this.semaphores).session();
    const inspect = session.inspect.bind(session);
    let asked = 0;
    let goOn: () => void = () => undefined;
    const open = new Promise<void>((resolve) => (goOn = resolve));
    session.inspect = async (key) => {
      asked++;
      await open;
      return inspect(key);
    };
    return { asked: () => asked, goOn };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    await this.server.close();
    this.http.close();
  }
}

/** Resolves when the server knows that the client has hung up. */
async function hangUp(streams: http2.ClientHttp2Stream[], server: Http2Server): Promise<void> {
  for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL);
  // What is asked later on the connection is read later.
  await once(server.request('GET', '/health'), 'response');
}

test('who hangs up while its answer is made keeps nobody of the same API key waiting', async () => {
  await using services = new Semaphores({});
  await using server = await Http2Server.start(services.open());
  const store = server.holdInspect();
  const streams = Array.from({ length: 20 }, () => server.request('GET', '/v1/semaphores/k'));
  await pollUntil('as many are made as may be', async () => store.asked() === 8);
  await hangUp(streams, server);
  store.goOn();
  const [answer] = await once(server.request('GET', '/v1/semaphores/l'), 'response');
  expect(answer[':status']).toBe(200);
  // What nobody waits for is not looked at.
  expect(store.asked()).toBe(9);
});

test('what was locked for who has hung up is free', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await Http2Server.start(semaphores);
  const store = server.holdInspect();
  const body = { uid: 'u', keys: ['a', 'b'], exp: 60_000 };
  const lock = server.request('POST', '/lock', body);
  await pollUntil('the store is asked', async () => store.asked() > 0);
  await hangUp([lock], server);
  const taken = nextEvents(semaphores, 'acquired', 2);
  store.goOn();
  await taken;
  const isFree = async (): Promise<boolean> => {
    const seen = await Promise.all(['a', 'b'].map((key) => semaphores.inspect(key)));
    return seen.every(({ held }) => held === 0);
  };
  await pollUntil('both are free', isFree);
});

test('who has hung up before the server gets its request takes nothing', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  let goOn: () => void = () => undefined;
  const open = new Promise<void>((resolve) => (goOn = resolve));
  const late = ['acquire'];
  await using server = await Http2Server.start(semaphores, {}, async () => {
    if (late.pop() !== undefined) await open;
  });
  const stream = server.request('POST', '/v1/semaphores/k/permits', { leaseMs: null });
  await hangUp([stream], server);
  const told: string[] = [];
  semaphores.events.subscribe(({ type }) => told.push(type));
  goOn();
  await once(server.request('GET', '/health'), 'response');
  expect(told).toEqual([]);
  expect(await semaphores.inspect('k')).toMatchObject({ held: 0, waiters: [] });
});

test('a session ends whose client comes back and hangs up before its stream begins', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await Http2Server.start(semaphores, { sessionGraceMs: 50 });
  const [opened] = await once(server.request('GET', '/v1/sessions').setEncoding('utf8'), 'data');
  const session = { 'x-session-id': /"id":"([^"]+)"/.exec(String(opened))?.[1] };
  const permit = server.request('POST', '/v1/semaphores/k/permits', {}, session);
  await once(permit, 'response');
  const store = server.holdInspect();
  const again = server.request('GET', '/v1/sessions', undefined, session);
  await pollUntil('the session is looked for', async () => store.asked() > 0);
  await hangUp([again], server);
  store.goOn();
  await pollUntil('its permit is free', async () => (await semaphores.inspect('k')).held === 0);
});
