import { Controller, Get, Logger, Module } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { MemorySemaphoreStore } from 'nestjs-semaphore';
import {
  SemaphoreDashboardModule,
  type SemaphoreDashboardOptions,
} from 'nestjs-semaphore/dashboard';
import { adapters, TestApp } from '../support/nest-app.js';
import { pollUntil } from '../support/redis-admin.js';
import { aborted, queued, rejection } from '../support/semaphores.js';

const PAGE_HEADERS = { accept: 'text/html' };
const OWN_HEADERS = {
  'content-type': 'application/json',
  'x-semaphore-dashboard': 'act',
  'sec-fetch-site': 'same-origin',
};

/** What no other directive stands in for. */
const POLICY = [
  "default-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
];

@Controller('semaphores-of-mine')
class NeighbourController {
  @Get()
  get(): string {
    return 'mine';
  }
}

describe.each(adapters)('the dashboard on $platform', ({ createAdapter }) => {
  let app: TestApp;
  let logged: string[];

  beforeEach(() => {
    logged = [];
    jest.spyOn(Logger.prototype, 'log').mockImplementation((line) => void logged.push(`${line}`));
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await app.close();
  });

  async function start(options?: SemaphoreDashboardOptions, globalPrefix?: string): Promise<void> {
    const imports = [SemaphoreDashboardModule.forRoot(options)];
    const store = { store: new MemorySemaphoreStore() };
    const metadata = { imports, controllers: [NeighbourController] };
    app = await TestApp.start(createAdapter, metadata, store, (nest) => {
      if (globalPrefix !== undefined) nest.setGlobalPrefix(globalPrefix);
    });
  }

  function act(name: string, body: unknown, headers: Record<string, string> = OWN_HEADERS) {
    const init = { method: 'POST', headers, body: JSON.stringify(body) };
    return app.fetch(`/semaphores/api/${name}`, init);
  }

  test.each([
    [undefined, undefined, '/semaphores'],
    ['ops/locks/', undefined, '/ops/locks'],
    ['/semaphores', 'api/v1', '/api/v1/semaphores'],
  ])('with path %s and prefix %s the page is at %s/', async (path, prefix, expected) => {
    await start(path === undefined ? {} : { path }, prefix);
    const redirected = await app.fetch(`${expected}?a=b`, { redirect: 'manual' });
    expect(redirected.status).toBe(302);
    expect(redirected.headers.get('cache-control')).toBe('no-store');
    const location = new URL(redirected.headers.get('location') ?? '', app.url + expected);
    expect(location.pathname + location.search).toBe(`${expected}/?a=b`);

    const page = await app.fetch(`${expected}/`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    const html = await page.text();
    const files = [...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, file]) => file as string);
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) {
      expect(file).not.toMatch(/^(\/|\w+:)/);
      expect((await app.fetch(`${expected}/${file}`)).status).toBe(200);
    }
    expect((await app.fetch(`${expected}/api/overview`)).status).toBe(200);
    expect((await app.fetch(`${expected}/nothing.js`)).status).toBe(404);
    expect((await app.fetch(`${expected}/..%2fdashboard.module.js`)).status).toBe(404);
    const neighbour = `${prefix === undefined ? '' : `/${prefix}`}/semaphores-of-mine`;
    expect(await (await app.fetch(neighbour)).text()).toBe('mine');
  });

  test('every answer of it has a strict policy', async () => {
    await start();
    const broken = { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } };
    for (const [path, init] of [
      ['/', {}],
      ['', { redirect: 'manual' }],
      ['/app.js', {}],
      ['/style.css', {}],
      ['/api/overview', {}],
      ['/api/overview', { method: 'PUT' }],
      ['/api/nothing', {}],
      ['/api/limit', broken],
    ] satisfies [string, RequestInit][]) {
      const { headers } = await app.fetch(`/semaphores${path}`, init);
      const policy = headers.get('content-security-policy')?.split('; ');
      expect(policy).toEqual(expect.arrayContaining(POLICY));
      expect(policy?.join()).not.toMatch(/unsafe|\*|http/);
      expect(Object.fromEntries(headers)).toMatchObject({
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
      });
    }
  });

  test('files are sent compressed, and not again when they did not change', async () => {
    await start();
    const first = await app.fetch('/semaphores/app.js');
    expect(first.headers.get('content-encoding')).toBe('gzip');
    expect(first.headers.get('vary')).toBe('accept-encoding');
    expect(first.headers.get('cache-control')).toBe('private, no-cache');
    expect(await first.text()).toContain('import');
    const etag = first.headers.get('etag') ?? '';
    for (const known of [etag, `"other", W/${etag}`]) {
      const headers = { 'if-none-match': known };
      expect((await app.fetch('/semaphores/app.js', { headers })).status).toBe(304);
    }
    for (const accepted of ['br', 'gzip;q=0, br', 'br, gzip; q=0.0']) {
      const headers = { 'accept-encoding': accepted };
      const plain = await app.fetch('/semaphores/app.js', { headers });
      expect(plain.headers.get('content-encoding')).toBeNull();
      expect(await plain.text()).toContain('import');
    }
    const seldom = await app.fetch('/semaphores/app.js', {
      headers: { 'accept-encoding': 'br, gzip;q=0.1' },
    });
    expect(seldom.headers.get('content-encoding')).toBe('gzip');
  });

  test('tells of one semaphore what `inspect` tells', async () => {
    await start();
    const key = 'key /?#%<img src=x onerror=alert(1)>';
    await using held = await app.semaphores.acquire(key, { permits: 2, label: '<b>' });
    const answer = await app.fetch(`/semaphores/api/semaphore?key=${encodeURIComponent(key)}`);
    const { semaphore } = (await answer.json()) as { semaphore: object };
    const { holders } = await app.semaphores.inspect(key);
    expect(semaphore).toMatchObject({
      key,
      permits: 2,
      held: 1,
      holders: holders.map(({ id }) => ({ id })),
    });
    expect(held.isHeld).toBe(true);
  });

  test('streams frames as things change, and ends them when the application closes', async () => {
    await start({ authorize: () => ({ access: 'view', user: 'ben' }) });
    const asking = httpRequest(`${app.url}/semaphores/api/stream?search=watched`).end();
    const [response] = (await once(asking, 'response')) as [NodeJS.ReadableStream];
    let text = '';
    response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    const heard = (part: string): Promise<void> =>
      pollUntil(part, () => Promise.resolve(text.includes(part)));
    await heard('event: session\ndata: {"user":"ben","access":"view"');
    await heard('"matching":0');
    await app.semaphores.acquire('watched');
    await heard('"matching":1');
    const ended = once(response, 'close');
    await app.app.close();
    await ended;
  });

  test('an act does what it says and is logged with who did it', async () => {
    await start({ authorize: () => ({ access: 'act', user: 'anna\n' }) });
    const permit = await app.semaphores.acquire('k', { label: 'first' });
    const { outcome } = await queued(app.semaphores, () => app.semaphores.acquire('k'));

    expect((await act('limit', { key: 'k', permits: 3 })).status).toBe(200);
    const second = await outcome;
    expect(await app.semaphores.inspect('k')).toMatchObject({ permits: 3, held: 2 });
    expect((await act('limit', { key: 'k', permits: null })).status).toBe(200);
    await second.release();

    const dropped = await queued(app.semaphores, () => app.semaphores.acquire('k'));
    const [waiter] = (await app.semaphores.inspect('k')).waiters;
    expect((await act('drop', { key: 'k', id: permit.id })).status).toBe(409);
    expect((await act('release', { key: 'k', id: waiter?.id })).status).toBe(409);
    expect((await act('drop', { key: 'k', id: waiter?.id })).status).toBe(200);
    expect(await rejection(dropped.outcome)).toMatchObject({ code: 'SEMAPHORE_PERMIT_LOST' });

    expect((await act('release', { key: 'k', id: permit.id })).status).toBe(200);
    await aborted(permit.signal);
    expect((await act('release', { key: 'k', id: permit.id })).status).toBe(409);

    const acts = logged.filter((line) => line.startsWith('"anna\\n" '));
    expect(acts).toEqual([
      '"anna\\n" set the limit to 3 for "k"',
      '"anna\\n" cleared the limit for "k"',
      expect.stringMatching(/^"anna\\n" dropped ".+" \(.+\) from the queue for "k"$/),
      expect.stringMatching(/^"anna\\n" released the permit of "first" \(.+\) for "k" by force$/),
    ]);
  });

  test('an act of somebody without a name is logged with their address', async () => {
    await start();
    expect((await act('limit', { key: 'k', permits: 2 })).status).toBe(200);
    expect(logged.at(-1)).toMatch(/^Somebody at \S*127\.0\.0\.1 set the limit to 2 for "k"$/);
  });

  test.each([
    ['release', {}],
    ['release', { key: 5, id: 'x' }],
    ['release', 'text'],
    ['release', null],
    ['limit', { key: 'k' }],
    ['limit', { key: 'k', permits: 0 }],
    ['limit', { key: 'k', permits: '3' }],
    ['limit', { key: '', permits: 3 }],
    ['drop', { key: 'x'.repeat(600), id: 'x' }],
  ])('a body that is wrong is refused: %s, %#', async (name, body) => {
    await start();
    const answer = await act(name, body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ message: expect.stringMatching(/Expected|JSON/) });
  });

  test('a body of more than 16 KiB is not read', async () => {
    await start();
    const long = { key: 'k', permits: 2, rest: 'x'.repeat(16_384) };
    expect((await act('limit', long)).status).toBe(413);
  });

  test('nobody may do anything by GET, by a form or from another site', async () => {
    await start();
    const permit = await app.semaphores.acquire('k');
    const body = { key: 'k', id: permit.id };
    expect((await app.fetch(`/semaphores/api/release?key=k&id=${permit.id}`)).status).toBe(405);
    const { 'x-semaphore-dashboard': _, ...withoutHeader } = OWN_HEADERS;
    for (const headers of [
      withoutHeader,
      { ...OWN_HEADERS, 'content-type': 'text/plain' },
      { ...OWN_HEADERS, 'sec-fetch-site': 'cross-site' },
    ]) {
      expect((await act('release', body, headers)).status).toBe(403);
    }
    expect(permit.isHeld).toBe(true);
    expect(logged.filter((line) => line.includes('released'))).toEqual([]);
  });

  test('who may only look cannot act', async () => {
    await start({ authorize: () => 'view' });
    const permit = await app.semaphores.acquire('k');
    for (const [name, body] of [
      ['release', { key: 'k', id: permit.id }],
      ['drop', { key: 'k', id: permit.id }],
      ['limit', { key: 'k', permits: 9 }],
    ] as const) {
      expect((await act(name, body)).status).toBe(403);
    }
    expect(await app.semaphores.inspect('k')).toMatchObject({ permits: 1, held: 1 });
    expect((await app.fetch('/semaphores/api/overview')).status).toBe(200);
  });

  test('who may not look gets nothing, and is told so', async () => {
    await start({ authorize: ({ headers }) => headers.authorization === 'Bearer right' });
    await app.semaphores.acquire('secret-key');
    for (const path of [
      '',
      'app.js',
      'api/overview',
      'api/stream',
      'api/semaphore?key=secret-key',
    ]) {
      const refused = await app.fetch(`/semaphores/${path}`);
      expect(refused.status).toBe(403);
      expect(refused.headers.get('content-type')).toMatch(/json/);
      expect(await refused.text()).not.toContain('secret-key');
    }
    expect((await act('limit', { key: 'secret-key', permits: 9 })).status).toBe(403);
    const page = await app.fetch('/semaphores/', { headers: PAGE_HEADERS });
    expect(page.status).toBe(403);
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(await page.text()).toContain('<p>You may not see the dashboard.</p>');
    const headers = { authorization: 'Bearer right' };
    expect((await app.fetch('/semaphores/', { headers })).status).toBe(200);
  });

  test('a browser is asked for a password where `authorize` wants one', async () => {
    const challenge = 'Basic realm="semaphores"';
    await start({ authorize: () => ({ access: 'none', challenge }) });
    const page = await app.fetch('/semaphores/', { headers: PAGE_HEADERS });
    expect([page.status, page.headers.get('www-authenticate')]).toEqual([401, challenge]);
  });

  test('in production it is closed until it knows who may look', async () => {
    const environment = process.env['NODE_ENV'];
    process.env['NODE_ENV'] = 'production';
    try {
      await start();
      const page = await app.fetch('/semaphores/', { headers: PAGE_HEADERS });
      expect(page.status).toBe(403);
      expect(await page.text()).toContain('SemaphoreDashboardModule is given `authorize`');
      expect((await act('limit', { key: 'k', permits: 9 })).status).toBe(403);
    } finally {
      process.env['NODE_ENV'] = environment;
    }
  });

  test('options may come from elsewhere', async () => {
    @Module({
      imports: [
        SemaphoreDashboardModule.forRootAsync({
          useFactory: () => Promise.resolve({ path: '/late', readOnly: true }),
        }),
      ],
    })
    class LateModule {}
    app = await TestApp.start(createAdapter, { imports: [LateModule] });
    expect((await app.fetch('/late/')).status).toBe(200);
    const init = { method: 'POST', headers: OWN_HEADERS, body: '{"key":"k","permits":9}' };
    expect((await app.fetch('/late/api/limit', init)).status).toBe(403);
  });
});
