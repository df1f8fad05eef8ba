import { Controller, Get } from '@nestjs/common';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  Semaphore,
  SemaphoreModule,
  SemaphoreService,
  SingleFlightService,
} from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { SemaphoreServerModule } from 'nestjs-semaphore/server';
import { ADMIN_KEY, LockClient } from '../support/lock-server.js';
import { adapters, TestApp } from '../support/nest-app.js';

@Controller('reports')
class ReportsController {
  @Get()
  @Semaphore({ key: 'report' })
  report(): string {
    return 'report';
  }
}

describe.each(adapters)('SemaphoreServerModule on $platform', ({ createAdapter }) => {
  let app: TestApp | undefined;

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  test.each([
    ['/locks', undefined, '/locks'],
    ['locks', 'api/v2', '/api/v2/locks'],
    [undefined, undefined, ''],
    [undefined, 'api', '/api'],
  ])('serves at the path %s behind the global prefix %s', async (path, prefix, base) => {
    const options = { apiKeys: [ADMIN_KEY], ...(path !== undefined && { path }) };
    app = await TestApp.start(
      createAdapter,
      { imports: [SemaphoreServerModule.forRoot(options)], controllers: [ReportsController] },
      {},
      (nest) => prefix !== undefined && nest.setGlobalPrefix(prefix),
    );
    const client = new LockClient(app.url + base);
    const key = 'a/b c?ü';
    const { status, body } = await client.acquire(key);
    expect(status).toBe(201);
    expect(await app.semaphores.inspect(key)).toMatchObject({ holders: [{ id: body['id'] }] });
    const second = client.acquire(key);
    await app.happened('waiting', key);
    expect((await client.release(key, body['id'])).body).toEqual({ outcome: 'released' });
    expect((await second).status).toBe(201);
    expect((await client.call('GET', '/health')).body).toEqual({ status: 'ok' });
    expect((await client.with('').inspect(key)).status).toBe(401);
    const own = await app.fetch(`${prefix === undefined ? '' : `/${prefix}`}/reports`);
    expect(await own.text()).toBe('report');
  });

  test('takes results of single flights that are longer than what parsers of applications read', async () => {
    app = await TestApp.start(createAdapter, {
      imports: [SemaphoreServerModule.forRoot({ apiKeys: [ADMIN_KEY], path: 'locks' })],
    });
    const store = new RemoteSemaphoreStore({ url: `${app.url}/locks`, apiKey: ADMIN_KEY });
    const services = [1, 2].map(() => new SemaphoreService({ store, log: 'none' }));
    const long = 'x'.repeat(1_000_000);
    try {
      const results: string[] = [];
      for (const service of services) {
        const flights = new SingleFlightService(service);
        const work = (): string => `${long}${results.length}`;
        results.push(await flights.run('long', work, { ttlMs: 60_000 }));
      }
      expect(results.map((result) => result.length)).toEqual([1_000_001, 1_000_001]);
      expect(results[1] === results[0]).toBe(true);
    } finally {
      await Promise.all(services.map((service) => service.close()));
    }
  });

  test('answers broken JSON with a problem, and takes who hangs up out of the queue', async () => {
    app = await TestApp.start(createAdapter, {
      imports: [SemaphoreServerModule.forRoot({ apiKeys: [ADMIN_KEY], path: 'locks' })],
    });
    const client = new LockClient(`${app.url}/locks`);
    const headers = { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' };
    const broken = await app.fetch('/locks/lock', { method: 'POST', body: '{"uid":', headers });
    expect([broken.status, await broken.json()]).toEqual([
      400,
      {
        statusCode: 400,
        code: 'INVALID_BODY',
        message: 'The body is not valid JSON',
        details: [{ field: 'body', rule: 'valid JSON' }],
      },
    ]);
    for (const body of ['null', '5']) {
      const response = await app.fetch('/locks/lock', { method: 'POST', body, headers });
      expect([response.status, await response.json()]).toEqual([
        400,
        expect.objectContaining({
          message: expect.not.stringContaining('valid JSON'),
          details: [{ field: 'body', rule: expect.stringContaining('object') }],
        }),
      ]);
    }
    await client.acquire('k');
    const controller = new AbortController();
    const waiting = client.acquire('k', { waitMs: null }, { signal: controller.signal });
    await app.happened('waiting', 'k');
    controller.abort();
    await expect(waiting).rejects.toThrow();
    await app.happened('rejected', 'k');
    expect((await client.inspect('k')).body['waiters']).toEqual([]);
  });

  test('answers a body that comes too slowly, and does not do what it says', async () => {
    app = await TestApp.start(createAdapter, {
      imports: [
        SemaphoreServerModule.forRoot({ apiKeys: [ADMIN_KEY], path: 'locks', bodyTimeoutMs: 200 }),
      ],
      controllers: [ReportsController],
    });
    const { port } = new URL(app.url);
    const ask = async (path: string, apiKey: string): Promise<string> => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\nx-api-key: ${apiKey}\r\n` +
          'content-type: application/json\r\ncontent-length: 12\r\n\r\n{"weight',
      );
      const [answer] = (await once(socket, 'data')) as [Buffer];
      if (socket.writable) socket.write('":1}');
      if (!socket.readableEnded) await once(socket, 'end');
      socket.destroy();
      return String(answer);
    };
    const permits = '/locks/v1/semaphores/k/permits';
    expect(await ask(permits, ADMIN_KEY)).toMatch(/^HTTP\/1.1 408 [^]*connection: close/i);
    expect(await ask(permits, 'no-key-0123456789')).toMatch(/^HTTP\/1.1 401 /);
    expect((await app.semaphores.inspect('k')).held).toBe(0);
    expect((await new LockClient(`${app.url}/locks`).acquire('k')).status).toBe(201);
  });

  test.each([undefined, 'api'])(
    'asks for an API key before it reads what was sent: behind the global prefix %s',
    async (prefix) => {
      app = await TestApp.start(
        createAdapter,
        { imports: [SemaphoreServerModule.forRoot({ apiKeys: [ADMIN_KEY], maxBodyBytes: 100 })] },
        {},
        (nest) => prefix !== undefined && nest.setGlobalPrefix(prefix),
      );
      const url = prefix === undefined ? app.url : `${app.url}/${prefix}`;
      const permits = 'semaphores/k/permits';
      const post = async (body: string, headers: Record<string, string>, path = permits) => {
        const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } };
        Object.assign(init.headers, headers);
        const response = await fetch(`${url}/v1/${path}`, init);
        return [response.status, ((await response.json()) as { code?: string }).code];
      };
      const known = { 'x-api-key': ADMIN_KEY };
      const long = JSON.stringify({ label: 'x'.repeat(200) });
      for (const body of ['{x', long]) expect(await post(body, {})).toEqual([401, 'UNAUTHORIZED']);
      expect(await post('{x', {}, 'store')).toEqual([401, 'UNAUTHORIZED']);
      expect(await post('{x', known)).toEqual([400, 'INVALID_BODY']);
      expect(await post(long, known)).toEqual([413, 'BODY_TOO_LARGE']);
      expect(await post('{"label":"short"}', known)).toEqual([201, undefined]);
    },
  );

  test('releases what a session holds when its stream ends, and closes with the application', async () => {
    app = await TestApp.start(
      createAdapter,
      { imports: [SemaphoreServerModule.forRoot({ apiKeys: [ADMIN_KEY], path: 'locks' })] },
      {},
      undefined,
      false,
    );
    const client = new LockClient(`${app.url}/locks`);
    const open = async () => {
      const stream = await client.stream('/v1/sessions');
      const headers = { 'x-session-id': String((await stream.until('session'))['id']) };
      expect((await client.acquire('k', { waitMs: 5000 }, { headers })).status).toBe(201);
      return stream;
    };
    const first = await open();
    first.close();
    await app.happened('released', 'k');
    const second = await open();
    const closed = app.close();
    expect(await second.next()).toBeUndefined();
    await closed;
    expect(app.count('acquired', 'k')).toBe(2);
    app = undefined;
  });

  test('takes options from elsewhere', async () => {
    const useFactory = async () => ({ apiKeys: [ADMIN_KEY], path: '/async' });
    app = await TestApp.start(createAdapter, {
      imports: [SemaphoreServerModule.forRootAsync({ useFactory })],
    });
    expect((await new LockClient(`${app.url}/async`).acquire('k')).status).toBe(201);
  });
});

test('without SemaphoreModule the start fails and says what to import', async () => {
  const compiled = Test.createTestingModule({
    imports: [SemaphoreServerModule.forRoot({ apiKeys: [ADMIN_KEY] })],
  }).compile();
  await expect(compiled).rejects.toThrow('import SemaphoreModule.forRoot()');
});

test.each([
  [{ apiKeys: ['short'] }, 'apiKeys[0].key'],
  [{ path: 'a b' }, 'path'],
  [{ maxOpenWaits: 0 }, 'maxOpenWaits'],
  [{ apiKey: ADMIN_KEY }, 'apiKey'],
])('a wrong option fails the start: %j', async (options, named) => {
  const testing = await Test.createTestingModule({
    imports: [SemaphoreModule.forRoot({ log: 'none' }), SemaphoreServerModule.forRoot(options)],
  }).compile();
  const app = testing.createNestApplication({ logger: false });
  await expect(app.init()).rejects.toThrow(`\`${named}\``);
  await app.close();
});
