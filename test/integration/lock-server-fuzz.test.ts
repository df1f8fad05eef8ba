import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ADMIN_KEY } from '../support/lock-server.js';
import { LockServerProcess } from '../support/lock-server-process.js';
import { pollUntil } from '../support/redis-admin.js';

const REQUESTS = 10_000;
const AT_ONCE = 25;
const MANY_LEVELS = 5000;

/** A wait that this test could not sit out would prove nothing. */
const waitMs = fc.oneof(fc.integer({ min: -1, max: 5 }), fc.constant('5'), fc.constant({}));

const key = fc.oneof(
  fc.constantFrom('a', 'b', '__proto__', 'constructor', '..', '%', '*', '\u0000', '\ud800', ' '),
  fc.string({ unit: 'binary', maxLength: 600 }),
);
const oddNumber = fc.oneof(
  fc.integer({ min: -2, max: 5 }),
  fc.double(),
  fc.constantFrom(1e308, -1, 0.5, 2 ** 53, null, '1', [], true),
);
const permitBody = fc.record(
  {
    permits: oddNumber,
    weight: oddNumber,
    waitMs,
    maxWaiting: oddNumber,
    priority: oddNumber,
    leaseMs: oddNumber,
    holdAtLeastMs: fc.oneof(fc.integer({ min: -1, max: 5 }), fc.string()),
    label: fc.oneof(fc.string({ unit: 'binary' }), oddNumber),
    requestId: fc.oneof(fc.string({ unit: 'binary' }), oddNumber),
    signal: fc.anything(),
  },
  { requiredKeys: ['waitMs'] },
);
const validPermitBody = fc.record({
  permits: fc.integer({ min: 1, max: 50 }),
  waitMs: fc.integer({ min: 0, max: 5 }),
  leaseMs: fc.integer({ min: 1, max: 20 }),
  requestId: fc.uuid(),
});
const lockBody = fc.record(
  {
    uid: fc.oneof(key, oddNumber),
    keys: fc.oneof(key, fc.array(key, { maxLength: 5 }), oddNumber),
    exp: oddNumber,
    tokens: fc.oneof(
      fc.array(fc.record({ key, version: oddNumber }, { requiredKeys: [] }), { maxLength: 5 }),
      fc.anything(),
    ),
  },
  { requiredKeys: [] },
);
const text = fc.oneof(
  fc.oneof(permitBody, validPermitBody, lockBody).map((body) => JSON.stringify(body)),
  fc.json(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '{', '[]', 'null', '{"__proto__":{"isAdmin":true}}', '{"waitMs":1e999}'),
  fc.constant(`${'['.repeat(MANY_LEVELS)}${']'.repeat(MANY_LEVELS)}`),
  fc.constant(JSON.stringify({ label: 'x'.repeat(100_000) })),
);
const path = fc.oneof(
  fc
    .tuple(
      key,
      fc.constantFrom('', '/permits', '/permits', '/permits/id', '/permits/id?force=true', '/x'),
    )
    .map(([name, rest]) => `/v1/semaphores/${encode(name)}${rest}`),
  fc.constantFrom('/lock', '/unlock', '/check', '/health', '/openapi.json', '/v1/semaphores', '/'),
  fc
    .tuple(fc.constantFrom('pattern', 'limit', 'x'), key)
    .map(([name, value]) => `/v1/semaphores?${name}=${encode(value)}`),
  fc.constantFrom(
    '/%',
    '/v1/semaphores/%ff',
    '/v1/semaphores/%E0%A4%A/permits',
    '//lock',
    '/lock/',
  ),
  fc.constantFrom('/v1/semaphores/a/../../../lock', '/v1//semaphores', '/LOCK', '/lock;x=1'),
);
const printable = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });
const headers = fc.record(
  {
    'x-api-key': fc.oneof({ weight: 8, arbitrary: fc.constant(ADMIN_KEY) }, printable),
    'content-type': fc.oneof(
      { weight: 6, arbitrary: fc.constant('application/json') },
      fc.constantFrom('text/plain', 'application/json; charset=utf-16', 'multipart/form-data', ';'),
    ),
    'x-session-id': printable,
    prefer: fc.oneof(printable, fc.constantFrom('wait=0', 'wait=1', 'wait=-1', 'wait=999999999')),
    authorization: printable,
  },
  { requiredKeys: ['x-api-key', 'content-type'] },
);
const method = fc.constantFrom(
  'GET',
  'POST',
  'POST',
  'POST',
  'PUT',
  'DELETE',
  'HEAD',
  'PATCH',
  'OPTIONS',
);

/** What gets past the checks more often. */
const plausible = fc
  .tuple(
    fc.oneof(
      fc.tuple(fc.constant('/v1/semaphores/some/permits'), fc.oneof(validPermitBody, permitBody)),
      fc.tuple(fc.constantFrom('/lock', '/unlock', '/check'), lockBody),
    ),
    fc.constantFrom<Record<string, string>>({}, { prefer: 'wait=0' }),
  )
  .map(([[target, body], extra]) => ({
    method: 'POST',
    path: target,
    headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json', ...extra },
    text: JSON.stringify(body),
  }));

function encode(value: string): string {
  return encodeURIComponent(value.replace(/\p{Surrogate}/gu, '?'));
}

test(
  `${REQUESTS} random requests neither end the server nor get a 500, and leave nothing`,
  async () => {
    // A request that says nothing of it waits for so long.
    const store = { defaults: { waitMs: 5 } };
    await using server = await LockServerProcess.start(store, { waitGraceMs: 10 });
    await server.acquire('warm', { leaseMs: 1 });
    const before = await server.memory();
    const statuses = new Map<number, number>();
    const request = fc.oneof(
      { weight: 4, arbitrary: fc.record({ method, path, headers, text }) },
      { weight: 1, arbitrary: plausible },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: AT_ONCE, maxLength: AT_ONCE }),
        async (batch) => {
          const answers = await Promise.all(batch.map((one) => ask(server.url, one)));
          for (const status of answers) {
            statuses.set(status, (statuses.get(status) ?? 0) + 1);
            expect(status).toBeLessThan(500);
          }
        },
      ),
      { numRuns: Math.ceil(REQUESTS / AT_ONCE), endOnFailure: true },
    );
    expect(server.isAlive).toBe(true);
    // It was not only turned away at the door.
    for (const status of [200, 201, 400, 401, 404, 405])
      expect([...statuses.keys()]).toContain(status);
    expect((await server.acquire('after')).status).toBe(201);
    await pollUntil('the memory is back', async () => {
      const { heapUsed, problems } = await server.memory();
      return problems === 0 && heapUsed - before.heapUsed < 10_000_000;
    });
  },
  REQUESTS * 20 + 30_000,
);

interface FuzzRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  text: string;
}

async function ask(
  url: string,
  { method: verb, path: target, headers: sent, text: body }: FuzzRequest,
) {
  const hasBody = verb !== 'GET' && verb !== 'HEAD';
  try {
    const response = await fetch(url + target, {
      method: verb,
      headers: sent,
      ...(hasBody && { body }),
      signal: AbortSignal.timeout(10_000),
    });
    await response.arrayBuffer();
    return response.status;
  } catch (error) {
    // What the client itself refuses to send, or a connection that the server closed before it took the whole body.
    if (error instanceof TypeError) return 0;
    throw error;
  }
}

const HEAD = `host: localhost\r\nx-api-key: ${ADMIN_KEY}\r\n`;

describe('over a bare connection', () => {
  let server: LockServerProcess;

  beforeAll(async () => {
    server = await LockServerProcess.start({});
  });
  afterAll(() => server.kill());

  test.each([
    ['a request line that is none', 'BOO\r\n\r\n'],
    ['a header with a line break in it', `GET /health HTTP/1.1\r\n${HEAD}x: a\rb: c\r\n\r\n`],
    [
      'both lengths',
      `POST /lock HTTP/1.1\r\n${HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'a chunk that is none',
      `POST /lock HTTP/1.1\r\n${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`,
    ],
    ['a length that is none', `POST /lock HTTP/1.1\r\n${HEAD}content-length: -5\r\n\r\n`],
    ['an absolute address', `GET http://evil/lock HTTP/1.1\r\n${HEAD}\r\n`],
    ['a NUL in the path', `GET /v1/semaphores/a\0b HTTP/1.1\r\n${HEAD}\r\n`],
    ['a header of 100 KB', `GET /health HTTP/1.1\r\n${HEAD}x: ${'a'.repeat(100_000)}\r\n\r\n`],
    ['an unknown protocol', `GET /health HTTP/9.9\r\n${HEAD}\r\n`],
    [
      'half a body, then the end',
      `POST /lock HTTP/1.1\r\n${HEAD}content-length: 100\r\n\r\n{"uid":`,
    ],
  ])('%s is turned away', async (_, bytes) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += String(chunk);
    });
    socket.on('error', () => undefined);
    socket.end(bytes);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(answer).toMatch(/^$|^HTTP\/1\.1 4\d\d /);
    expect((await server.acquire(randomUUID())).status).toBe(201);
    expect((await server.memory()).problems).toBe(0);
  });
});
