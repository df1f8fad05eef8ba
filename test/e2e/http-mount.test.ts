import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import {
  Controller,
  ForbiddenException,
  Get,
  Inject,
  type INestApplication,
  Module,
  Post,
} from '@nestjs/common';
import type { MiddlewareConsumer, NestModule } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { raw, text } from 'express';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createHttpHandler } from '../../lib/http/http-handler.js';
import { HttpProblem, sendJson } from '../../lib/http/http-problem.js';
import { mountHandler, mountPath, normalisePath } from '../../lib/http/nest-mount.js';
import { readJsonBody } from '../../lib/http/read-json-body.js';
import { adapters } from '../support/nest-app.js';

const LIMITS = { maxBytes: 1000, timeoutMs: 5000 };

function refuseStrangers({ headers }: IncomingMessage): void {
  if (headers['x-stranger'] === undefined) return;
  throw new HttpProblem(401, 'UNAUTHORIZED', 'Nobody knows you');
}

function createModule(path: string) {
  @Module({})
  class MountedModule implements NestModule {
    @Inject(ApplicationConfig) readonly config!: ApplicationConfig;
    @Inject(HttpAdapterHost) readonly adapterHost!: HttpAdapterHost;

    configure(consumer: MiddlewareConsumer): void {
      const handler = createHttpHandler({
        basePath: () => mountPath(this.config, path),
        isBaseShared: normalisePath(path) === '',
        routes: [
          {
            method: 'GET',
            path: '/items/{key}',
            handle: ({ response, params }) => sendJson(response, 200, params),
          },
          {
            method: 'POST',
            path: '/items',
            admit: refuseStrangers,
            handle: async ({ request, response }) => {
              refuseStrangers(request);
              sendJson(response, 200, { body: await readJsonBody(request, LIMITS) });
            },
          },
        ],
      });
      mountHandler(consumer, handler, path, this.adapterHost);
    }
  }
  return MountedModule;
}

@Controller('own')
class OwnController {
  @Get()
  own(): string {
    return 'own';
  }

  @Post()
  change(): string {
    return 'changed';
  }
}

describe.each(adapters)(
  'a handler in an application on $platform',
  ({ platform, createAdapter }) => {
    let app: INestApplication | undefined;

    afterEach(async () => {
      await app?.close();
      app = undefined;
    });

    async function start(
      path: string,
      globalPrefix?: string,
      configure: (nest: INestApplication) => void = () => undefined,
    ): Promise<string> {
      const testing = await Test.createTestingModule({
        imports: [createModule(path)],
        controllers: [OwnController],
      }).compile();
      app = testing.createNestApplication(createAdapter(), {
        logger: false,
        forceCloseConnections: true,
      });
      if (globalPrefix !== undefined) app.setGlobalPrefix(globalPrefix);
      configure(app);
      await app.listen(0, '127.0.0.1');
      return await app.getUrl();
    }

    const post = (url: string, body: string, type = 'application/json') =>
      fetch(url, { method: 'POST', body, headers: { 'content-type': type } });

    test.each([
      ['/things', undefined, '/things'],
      ['things/of/all/', undefined, '/things/of/all'],
      ['/things', 'api', '/api/things'],
      ['', undefined, ''],
      ['/', 'api', '/api'],
    ])('answers at "%s" behind the global prefix %s', async (path, globalPrefix, base) => {
      const url = (await start(path, globalPrefix)) + base;
      const key = 'a/b?c#d%e f\u00fc..';
      const response = await fetch(`${url}/items/${encodeURIComponent(key)}?x=1`);
      expect([response.status, await response.json()]).toEqual([200, { key }]);
      const posted = await post(`${url}/items`, '{"a":[1]}');
      expect([posted.status, await posted.json()]).toEqual([200, { body: { a: [1] } }]);
    });

    test.each([
      ['ops/things', ['ops/things']],
      ['/ops/things/', ['ops/{*rest}']],
      ['ops', ['ops', 'ops/*rest']],
    ])('answers at "%s" where the global prefix excludes %s', async (path, exclude) => {
      const url = await start(path, undefined, (nest) => nest.setGlobalPrefix('api', { exclude }));
      const inner = normalisePath(path);
      const own = await fetch(`${url}${inner}/items/a`);
      expect([own.status, await own.json()]).toEqual([200, { key: 'a' }]);
      expect((await fetch(`${url}/api${inner}/items/a`)).status).toBe(404);
      expect(await (await fetch(`${url}/api/own`)).text()).toBe('own');
    });

    test.each([
      ['/things', ''],
      ['', ''],
      ['/things', '/api'],
      ['', '/api'],
    ])(
      'leaves the rest of the application alone: "%s" behind the global prefix "%s"',
      async (path, prefix) => {
        const url = (await start(path, prefix)) + prefix;
        expect(await (await fetch(`${url}/own`)).text()).toBe('own');
        const unknown = await fetch(`${url}/thingsandmore`);
        expect(await unknown.json()).toMatchObject({ statusCode: 404, error: 'Not Found' });
        const broken: unknown = await (await post(`${url}/own`, '{bad')).json();
        expect(broken).toMatchObject({ statusCode: 400 });
        expect(broken).not.toMatchObject({ code: 'INVALID_BODY' });
      },
    );

    test.each([
      ['/things', ''],
      ['', ''],
      ['', '/api'],
    ])(
      'answers broken JSON of its own with a problem: "%s" behind the global prefix "%s"',
      async (path, prefix) => {
        const url = (await start(path, prefix)) + prefix + path;
        const broken = await post(`${url}/items`, '{bad');
        expect(await broken.json()).toMatchObject({ statusCode: 400, code: 'INVALID_BODY' });
      },
    );

    test('refuses strangers before it looks at what they sent', async () => {
      const url = await start('/things');
      for (const body of ['{bad', JSON.stringify('x'.repeat(2_000_000))]) {
        const headers = { 'content-type': 'application/json', 'x-stranger': '1' };
        const init = { method: 'POST', body, headers };
        expect((await fetch(`${url}/things/items`, init)).status).toBe(401);
      }
    });

    test('leaves errors of the application to it', async () => {
      const url = await start('/things', undefined, (nest) =>
        nest.use((request: IncomingMessage, _: ServerResponse, next: (error?: unknown) => void) =>
          next(request.headers['x-refuse'] && new ForbiddenException('refused')),
        ),
      );
      const refused = await fetch(`${url}/things/items/a`, { headers: { 'x-refuse': '1' } });
      expect(await refused.json()).toMatchObject({ message: 'refused' });
    });

    test('runs behind the middleware of the application, which may refuse a request', async () => {
      const url = await start('/things', undefined, (nest) =>
        nest.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
          response.setHeader('x-seen', request.method ?? '');
          if (request.headers['x-refuse'] === undefined) next();
          else response.writeHead(418).end('refused');
        }),
      );
      const served = await fetch(`${url}/things/items/a`);
      expect([served.status, served.headers.get('x-seen')]).toEqual([200, 'GET']);
      const refused = await fetch(`${url}/things/items/a`, { headers: { 'x-refuse': '1' } });
      expect([refused.status, await refused.text()]).toEqual([418, 'refused']);
    });

    test('takes no compressed body for a plain one', async () => {
      const url = `${await start('/things')}/things/items`;
      const send = async (body: string | Uint8Array<ArrayBuffer>, encoding: string) => {
        const headers = { 'content-type': 'application/json', 'content-encoding': encoding };
        const response = await fetch(url, { method: 'POST', body, headers });
        return { status: response.status, ...((await response.json()) as object) };
      };
      const refused = { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' };
      // The parser of Express inflates.
      const [inflated, plain] =
        platform === 'Fastify'
          ? [refused, refused]
          : [{ status: 200 }, { status: 400, code: 'INVALID_BODY' }];
      expect(await send(new Uint8Array(gzipSync('{"a":1}')), 'gzip')).toMatchObject(inflated);
      const bomb = new Uint8Array(gzipSync(JSON.stringify(['x'.repeat(LIMITS.maxBytes)])));
      expect(await send(bomb, 'gzip')).toMatchObject({
        status: platform === 'Fastify' ? 415 : 413,
      });
      expect(await send('{"a":1}', 'gzip')).toMatchObject(plain);
      expect(await send('{"a":1}', 'identity')).toMatchObject({ status: 200 });
    });

    // Fastify has parsers of its own.
    if (platform === 'Express') {
      test.each([
        ['bytes', raw({ type: 'application/json' })],
        ['text', text({ type: 'application/json' })],
      ])('reads what a parser of the application left as %s', async (_what, parser) => {
        const url = await start('/things', undefined, (nest) => nest.use(parser));
        const answers = [];
        for (const body of ['{"key":"\u00fc"}', '{bad', '', `"${'x'.repeat(2000)}"`]) {
          const response = await post(`${url}/things/items`, body);
          answers.push([response.status, await response.json()]);
        }
        expect(answers).toEqual([
          [200, { body: { key: '\u00fc' } }],
          [400, expect.objectContaining({ code: 'INVALID_BODY' })],
          [200, {}],
          [413, expect.objectContaining({ code: 'BODY_TOO_LARGE' })],
        ]);
      });
    }

    test('answers every mistake with a problem', async () => {
      const url = `${await start('/things')}/things`;
      const answers = [
        [await fetch(`${url}/nothing`), 404, 'NOT_FOUND'],
        [await fetch(`${url}/items/a`, { method: 'DELETE' }), 405, 'METHOD_NOT_ALLOWED'],
        [await post(`${url}/items`, '{"a":'), 400, 'INVALID_BODY', 'valid JSON'],
        [
          await post(`${url}/items`, '['.repeat(400) + ']'.repeat(400)),
          400,
          'INVALID_BODY',
          expect.stringMatching(/^at most \d+ levels deep$/),
        ],
        [await post(`${url}/items`, JSON.stringify('x'.repeat(2_000_000))), 413, 'BODY_TOO_LARGE'],
        [await post(`${url}/items`, 'a=1', 'text/plain'), 415, 'UNSUPPORTED_MEDIA_TYPE'],
        [
          await post(`${url}/items`, '{}', 'application/json; charset=latin9'),
          415,
          'UNSUPPORTED_MEDIA_TYPE',
        ],
        [
          await post(`${url}/items`, 'a=1', 'application/x-www-form-urlencoded'),
          415,
          'UNSUPPORTED_MEDIA_TYPE',
        ],
      ] as const;
      for (const [response, statusCode, code, rule] of answers) {
        expect(response.status).toBe(statusCode);
        const message: unknown = expect.any(String);
        const details = rule === undefined ? undefined : [{ field: 'body', rule }];
        expect(await response.json()).toEqual({ statusCode, code, message, details });
      }
    });

    test.each([
      ['/things', ''],
      ['', ''],
      ['', '/api'],
    ])('names a path that is not URL-encoded: "%s" behind "%s"', async (path, prefix) => {
      const url = (await start(path, prefix)) + prefix + path;
      const malformed = await fetch(`${url}/items/%E0%A4%A`);
      // Fastify's own router is asked first.
      const code = platform === 'Fastify' ? 'FST_ERR_BAD_URL' : 'INVALID_PATH';
      expect(await malformed.json()).toMatchObject({ statusCode: 400, code });
    });
  },
);

test('a handler runs without Nest', async () => {
  const handler = createHttpHandler({
    routes: [{ method: 'GET', path: '/', handle: ({ response }) => sendJson(response, 200, 'ok') }],
  });
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).json()).toBe('ok');
  expect((await fetch(`http://127.0.0.1:${port}/x`)).status).toBe(404);
  await new Promise((resolve) => server.close(resolve));
});
