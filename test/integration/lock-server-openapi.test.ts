import { expect, test } from '@jest/globals';
import { z } from 'zod';
import {
  ADMIN_KEY,
  type EventReader,
  type HttpAnswer,
  LockServer,
} from '../support/lock-server.js';
import { queued, Semaphores } from '../support/semaphores.js';

interface Schema {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  examples?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: unknown;
  items?: Schema;
  minimum?: number;
  maximum?: number;
  $ref?: string;
}

interface Operation {
  operationId: string;
  security: unknown[];
  parameters?: { name: string; in: string; required: boolean; schema: Schema }[];
  requestBody?: { required: boolean; content: { 'application/json': { schema: Schema } } };
  responses: Record<
    string,
    { headers?: Record<string, unknown>; content?: Record<string, { schema: Schema }> }
  >;
}

interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** The schema itself, where it is one of the document's components. */
function resolved({ components }: Document, schema: Schema): Schema | undefined {
  const name = schema.$ref?.replace('#/components/schemas/', '');
  return name === undefined ? schema : components.schemas[name];
}

/** Something that a schema allows: with all that may be there, or only with what must be. */
function sample(schema: Schema, isFull: boolean): unknown {
  if (schema.anyOf)
    return sample(schema.anyOf[isFull ? 0 : schema.anyOf.length - 1] as Schema, isFull);
  if (schema.examples) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  switch (schema.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {})
          .filter(([name]) => isFull || schema.required?.includes(name))
          .map(([name, property]) => [name, sample(property, isFull)]),
      );
    case 'array':
      return itemsOf(schema).map((item) => sample(item, isFull));
    case 'integer':
    case 'number':
      return Math.max(1, schema.minimum ?? 1);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return 'openapi';
  }
}

/** Of a choice one of each. */
const itemsOf = ({ items = {} }: Schema): Schema[] => items.oneOf ?? [items];

/** Only the reserved words of URLs are in braces. */
const fill = (path: string, values: Record<string, string>): string =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));

test('every documented call does what the document says', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const document = (await server.with('').call('GET', '/openapi.json')).body as unknown as Document;
  expect(document.openapi).toBe('3.1.0');
  const seen = new Set<string>();
  // What some calls need, such as the session that they are about, is opened by the ones before.
  const streams: EventReader[] = [];

  const expectDocumented = (operation: Operation, { status, headers, body }: HttpAnswer): void => {
    const { operationId, responses } = operation;
    expect(Object.keys(responses)).toContain(String(status));
    const content = responses[String(status)]?.content ?? {};
    const type = headers.get('content-type')?.split(';', 1);
    expect([operationId, Object.keys(content)]).toEqual([operationId, type ?? []]);
    const documented = content['application/json']?.schema;
    if (documented === undefined) return;
    const schema = resolved(document, documented);
    z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).parse(body);
  };

  const all = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([verb, operation]) => ({ path, verb, operation })),
  );
  // Others need the session that it ends.
  const isLast = ({ operation }: (typeof all)[number]): boolean =>
    operation.operationId === 'closeStore';
  for (const { path, verb, operation } of all.toSorted((a, b) => +isLast(a) - +isLast(b))) {
    const method = verb.toUpperCase();
    const { operationId, security, parameters = [], requestBody, responses } = operation;
    const bodySchema = requestBody?.content['application/json'].schema;
    const isStream = responses['200']?.content?.['text/event-stream'] !== undefined;
    const headers = Object.fromEntries(
      parameters
        .filter((parameter) => parameter.in === 'header' && parameter.required)
        .map(({ name, schema }) => [name, String(sample(schema, true))]),
    );
    seen.add(operationId);

    const target = async (): Promise<string> => {
      const key = `openapi ${operationId}/${Math.random()}`;
      const held = path.includes('{id}') ? await server.acquire(key, { permits: 100 }) : undefined;
      return fill(path, { key, id: String(held?.body['id']) });
    };

    if (security.length > 0) {
      const refused = await server.with('').call(method, await target(), bodySchema && {});
      expect(refused.status).toBe(401);
      expectDocumented(operation, refused);
    }
    if (isStream) {
      streams.push(await server.stream(path, headers));
      continue;
    }
    for (const isFull of [false, true]) {
      const query = parameters
        .filter((parameter) => parameter.in === 'query' && (isFull || parameter.required))
        .map(({ name, schema }) => `${name}=${encodeURIComponent(String(sample(schema, isFull)))}`);
      const url = `${await target()}${query.length > 0 ? `?${query.join('&')}` : ''}`;
      const body =
        bodySchema && (isFull || requestBody?.required) ? sample(bodySchema, isFull) : undefined;
      const answer = await server.call(method, url, body, { headers });
      expect([operationId, answer.status < 300]).toEqual([operationId, true]);
      expectDocumented(operation, answer);
      expect(answer.body['results'] ?? []).not.toContainEqual({ error: expect.anything() });
    }
    if (bodySchema?.type === 'object') {
      const full = sample(bodySchema, true) as Record<string, unknown>;
      const wrong: Record<string, unknown>[] = [{ ...full, unknown: 1 }];
      for (const name of bodySchema.required ?? []) {
        const { [name]: _, ...rest } = full;
        wrong.push(rest);
      }
      for (const name of Object.keys(bodySchema.properties ?? {}))
        wrong.push({ ...full, [name]: {} });
      for (const body of wrong) {
        const refused = await server.call(method, await target(), body, { headers });
        expect([operationId, body, refused.status]).toEqual([operationId, body, 400]);
        expectDocumented(operation, refused);
        expect(refused.body['details']).toContainEqual({
          field: expect.any(String),
          rule: expect.any(String),
        });
      }
    }
  }
  for (const stream of streams) stream.close();
  expect([...seen].toSorted()).toEqual([
    'acquirePermit',
    'callStore',
    'check',
    'closeStore',
    'health',
    'inspectSemaphore',
    'listSemaphores',
    'listStore',
    'lock',
    'lookAtResult',
    'openApi',
    'openSession',
    'openStore',
    'publishResult',
    'releasePermit',
    'renewPermit',
    'setPermits',
    'unlock',
    'watchEvents',
  ]);
});

test('what a refusal says is in the document', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores, { maxOpenWaits: 1 });
  const document = (await server.call('GET', '/openapi.json')).body as unknown as Document;
  await server.acquire('k');
  await server.call('POST', '/lock', { uid: 'u1', keys: 'l', exp: 60_000 });
  const wish = { waitMs: 60_000 };
  const busy = await server.acquire('k', { waitMs: 0 });
  const full = await server.acquire('k', { maxWaiting: 0 });
  const { outcome: sentAway } = await queued(semaphores, () => server.acquire('k', wish));
  const [waiter] = (await semaphores.inspect('k')).waiters;
  await semaphores.forceRelease('k', String(waiter?.id));
  const forced = await sentAway;
  const { outcome } = await queued(semaphores, () => server.acquire('k', wish));
  const tooMany = await server.acquire('k');
  const locked = await server.call('POST', '/lock', { uid: 'u2', keys: 'l' });
  await server.shutDown();
  const closed = await outcome;
  const permits = '/v1/semaphores/{key}/permits';
  for (const [path, { status, headers, body }, says] of [
    [permits, busy, ['reason', 'retryAfterMs']],
    [permits, full, ['reason', 'retryAfterMs']],
    [permits, forced, []],
    [permits, tooMany, ['retryAfterMs']],
    [permits, closed, ['retryAfterMs']],
    ['/lock', locked, ['error']],
  ] as const) {
    const response = document.paths[path]?.['post']?.responses[status];
    const schema = resolved(document, response?.content?.['application/json']?.schema ?? {});
    expect(Object.keys(body)).toEqual(expect.arrayContaining([...says]));
    expect(Object.keys(schema?.properties ?? {})).toEqual(
      expect.arrayContaining(Object.keys(body)),
    );
    z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).parse(body);
    const isRetriable = headers.has('retry-after');
    expect(Object.keys(response?.headers ?? {})).toEqual(isRetriable ? ['Retry-After'] : []);
    expect(isRetriable).toBe(![410, 423].includes(status));
  }
});

test('a mistake is answered with the field and the rule', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const answers = [
    await server.acquire('k', { permits: 0 }),
    await server.acquire('k', { permits: 1, weight: 2 }),
    await server.acquire('k', { leaseMS: 5 }),
    await server.call('POST', '/lock', { uid: 'u', keys: ['', 'b'] }),
    await server.call('GET', '/v1/semaphores?limit=many'),
    await server.call('GET', '/v1/semaphores?patern=a'),
    await server.call('GET', '/v1/semaphores?pattern=a&pattern=b'),
    await server.release('k', 'not%20an%20id'),
    await server.acquire('ü'.repeat(300)),
  ];
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 400));
  const fields = answers.map(({ body }) => (body['details'] as { field: string }[])[0]?.field);
  expect(fields.slice(0, 3)).toEqual(['permits', 'weight', 'leaseMS']);
  expect(fields.slice(3)).toEqual(['keys.0', 'limit', 'patern', 'pattern', 'id', 'key']);
  expect(answers[0]?.body['message']).toContain('`permits`');
});

test('a body that is not UTF-8 is refused, and not made into another key', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const response = await fetch(`${server.url}/lock`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': ADMIN_KEY },
    body: Buffer.from('{"uid":"u","keys":"\xff"}', 'latin1'),
  });
  expect(response.status).toBe(400);
  const details = [{ field: 'body', rule: 'valid UTF-8' }];
  expect(await response.json()).toMatchObject({ code: 'INVALID_BODY', details });
});

test('a wrong `keys` is answered with its rule, and no tokens unlock nothing', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const many = Array.from({ length: 101 }, (_, i) => `k${i}`);
  for (const keys of [undefined, 1, [1], many]) {
    const answers = [
      await server.call('POST', '/lock', { uid: 'u', keys }),
      await server.call('POST', '/check', { keys }),
    ];
    for (const { status, body } of answers) {
      expect(status).toBe(400);
      expect(body['details']).toEqual([
        { field: 'keys', rule: expect.stringContaining('a key, or 1 to 100 keys') },
      ]);
    }
  }
  const unlocked = await server.call('POST', '/unlock', { uid: 'u', tokens: [] });
  expect([unlocked.status, unlocked.body]).toEqual([200, { unlocked: [] }]);
});

test('the document says where the server stands', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using root = await LockServer.start(semaphores);
  const document = (await root.call('GET', '/openapi.json')).body;
  expect(document['servers']).toEqual([{ url: '/' }]);
  await using mounted = await LockServer.start(semaphores, { basePath: () => '/api/locks' });
  const { body } = await mounted.call('GET', '/api/locks/openapi.json');
  expect(body['servers']).toEqual([{ url: '/api/locks' }]);
});

test('the document tells how a body may be refused', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const { paths } = (await server.call('GET', '/openapi.json')).body as {
    paths: Record<string, Record<string, { responses: object }>>;
  };
  const statusesOf = (path: string, method: string) =>
    Object.keys(paths[path]?.[method]?.responses ?? {});
  expect(statusesOf('/lock', 'post')).toEqual(expect.arrayContaining(['408', '413', '415']));
  expect(statusesOf('/v1/semaphores', 'get')).not.toContain('413');
});

test('a list that is cut says so', async () => {
  await using services = new Semaphores({});
  const semaphores = services.open();
  await using server = await LockServer.start(semaphores);
  await Promise.all(['a', 'b', 'c'].map((key) => semaphores.acquire(key)));
  const all = await server.call('GET', '/v1/semaphores?limit=3');
  expect(all.body).toEqual({ keys: expect.any(Array) });
  const cut = await server.call('GET', '/v1/semaphores?limit=2');
  expect(cut.body).toEqual({ keys: [expect.any(String), expect.any(String)], truncated: true });
});

test('refuses parameters that a call does not have, and lets health checks add theirs', async () => {
  await using services = new Semaphores({});
  await using server = await LockServer.start(services.open());
  const permits = '/v1/semaphores/k/permits';
  const answers = [
    await server.call('POST', `${permits}?waitMs=0`, {}),
    await server.call('PUT', `${permits}/id?leaseMs=5`, {}),
    await server.call('GET', '/v1/semaphores/k?a=1&a=2'),
    await server.call('POST', '/check?keys=k', { keys: 'k' }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400]);
  expect(answers[0]?.body).toMatchObject({
    details: [{ field: 'waitMs', rule: 'left out: there is no such field' }],
  });
  expect((await server.call('GET', '/health?at=1')).status).toBe(200);
});
