import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pollUntil } from '../support/redis-admin.js';
import {
  appFolder,
  mostAtOnce,
  PREPARE_TIMEOUT_MS,
  prepareSampleApp,
  type Run,
  SampleApp,
} from './sample-app.js';

interface Receipt {
  account: string;
  balance: number;
  fencingToken: number;
}

let app: SampleApp;

beforeAll(async () => {
  await prepareSampleApp();
  app = await SampleApp.start();
}, PREPARE_TIMEOUT_MS);

afterAll(() => app?.stop('SIGKILL'));

function times<T>(count: number, task: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => task(index)));
}

test('the app and the library in it share one copy of Nest', () => {
  const byApp = createRequire(join(appFolder, 'dist', 'main.js'));
  const byLibrary = createRequire(
    join(appFolder, 'node_modules', 'nestjs-semaphore', 'dist', 'index.js'),
  );
  for (const name of ['@nestjs/common', '@nestjs/core', 'reflect-metadata', 'rxjs', 'ioredis']) {
    expect(byLibrary.resolve(name)).toBe(byApp.resolve(name));
  }
});

test('makes at most 3 reports at once, and tells when each ran', async () => {
  const answers = await times(8, () => app.ask<Run>('/reports'));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  const runs = answers.map(({ body }) => body);
  expect(mostAtOnce(runs)).toBe(3);
  for (const { pid, arrivedAt, enteredAt, leftAt } of runs) {
    expect(pid).toBe(app.pid);
    expect(arrivedAt).toBeLessThanOrEqual(enteredAt);
    expect(leftAt - enteredAt).toBeGreaterThan(290);
  }
  expect(await app.runs()).toEqual(expect.arrayContaining(runs));
});

test('gives each tenant 2 exports at once, and refuses the third at once with Retry-After', async () => {
  const [acme, other] = await Promise.all([
    times(3, () => app.ask('/tenants/acme/export')),
    times(2, () => app.ask('/tenants/other/export')),
  ]);
  expect(acme.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 429]);
  expect(other.map(({ status }) => status)).toEqual([200, 200]);
  const refused = acme.find(({ status }) => status === 429);
  expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
});

test('makes the payments of an account one after another, with growing fencing tokens', async () => {
  const answers = await times(6, () =>
    app.post<Receipt>('/accounts/serial/payments', { amount: 10 }),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
  const receipts = answers
    .map(({ body }) => body)
    .toSorted((a, b) => a.fencingToken - b.fencingToken);
  expect(receipts.map(({ balance }) => balance)).toEqual([990, 980, 970, 960, 950, 940]);
  expect(new Set(receipts.map(({ fencingToken }) => fencingToken)).size).toBe(6);
});

test('refuses the write of a payment that took so long that a later one was made', async () => {
  let isOver = false;
  const slow = app
    .post('/accounts/slow/payments', { amount: 10, bankMs: 3_000 })
    .finally(() => (isOver = true));
  let paid = 0;
  while (!isOver) {
    const { status } = await app.post('/accounts/slow/payments', { amount: 1 });
    expect(status).toBe(201);
    paid += 1;
  }
  expect((await slow).status).toBe(409);
  const last = await app.post<Receipt>('/accounts/slow/payments', { amount: 1 });
  expect(last.body.balance).toBe(1_000 - paid - 1);
});

test.each([{}, { amount: 0 }, { amount: '5' }, { amount: 1.5 }, { amount: 1, bankMs: -1 }])(
  'refuses the payment %j',
  async (body) => {
    const { status } = await app.post('/accounts/bad/payments', body);
    expect(status).toBe(400);
  },
);

test('renders a thumbnail once, however many ask for it, and one size of an image at a time', async () => {
  const same = await times(5, () => app.ask('/images/cat.png/thumbnail?width=100'));
  for (const { body } of same) expect(body).toEqual({ image: 'cat.png', width: 100, rendering: 1 });

  const sizes = await times(3, (i) =>
    app.ask<{ rendering: number }>(`/images/dog.png/thumbnail?width=${100 + i}`),
  );
  expect(sizes.map(({ body }) => body.rendering).toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
});

test('sends the digest by the clock', async () => {
  await pollUntil('a digest was sent', async () => {
    const { body } = await app.ask<unknown[]>('/digest/runs');
    return body.length > 0;
  });
});

test.each(['0', '101', 'many', ''])('refuses a burst of "%s" requests', async (requests) => {
  const { status } = await app.ask(`/demo/bursts?requests=${requests}`, { method: 'POST' });
  expect(status).toBe(400);
});

/** So long that all have come to the queue before the first report is done, on a slow machine too. */
describe('reports that take 3 s', () => {
  let slow: SampleApp;
  beforeAll(async () => {
    slow = await SampleApp.start({ REPORT_MS: '3000' });
  });
  afterAll(() => slow?.stop('SIGKILL'));

  test('a burst whose reader goes away leaves the queue', async () => {
    const abort = new AbortController();
    const response = await fetch(new URL('/demo/bursts?requests=40', slow.url), {
      method: 'POST',
      signal: abort.signal,
    });
    expect(response.status).toBe(200);
    await slow.untilReports({ held: 3, waiting: 37 });
    abort.abort();
    await slow.untilReports({ held: 0, waiting: 0 });
    expect((await slow.runs()).length).toBeLessThan(40);
  });

  test('the dashboard shows them, and SIGTERM lets them finish and sends away who waits', async () => {
    expect((await fetch(`${slow.url}/semaphores/`)).status).toBe(200);
    const answers = times(5, () => slow.ask('/reports'));
    await slow.untilReports({ held: 3, waiting: 2 });
    const { body } = await slow.ask<{ overview: { rows: unknown[] } }>('/semaphores/api/overview');
    expect(body.overview.rows).toContainEqual(
      expect.objectContaining({ state: expect.objectContaining({ permits: 3, held: 3 }) }),
    );
    const [code, ended] = await Promise.all([slow.stop(), answers]);
    expect(ended.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200, 200, 200, 503, 503,
    ]);
    for (const { status, headers } of ended) {
      if (status === 503) expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    }
    expect(code).toBe(0);
  });
});
