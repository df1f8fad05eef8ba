import { Controller, Get, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  AcquireAbortedError,
  InvalidOptionsError,
  MemorySemaphoreStore,
  PermitLostError,
  PermitUnavailableError,
  ResultNotSharedError,
  ScopeError,
  Semaphore,
  SemaphoreClosedError,
  type SemaphoreError,
  SemaphoreModule,
  semaphoreMiddleware,
  SemaphoreService,
  SingleFlightAbortedError,
  SingleFlightTimeoutError,
  StoreUnavailableError,
} from 'nestjs-semaphore';
import { createSemaphoreServer } from 'nestjs-semaphore/server';
import { resolveLog } from '../../../lib/resolve-log.js';
import { resolveModuleOptions } from '../../../lib/resolve-module-options.js';
import { resolveOptions } from '../../../lib/resolve-options.js';
import { resolveServerOptions } from '../../../lib/server/server.options.js';
import { resolveFlightOptions } from '../../../lib/single-flight/single-flight.options.js';
import { superjsonSerializer } from '../../../lib/single-flight/superjson.serializer.js';
import { blocksOf, code, pages, root, type Row, table } from './readme.js';

const semaphoreOptions = table('### Of a semaphore');
const decoratorOptions = table('### Of a semaphore', 1);
const middlewareOptions = table('### Of the middleware');
const moduleOptions = table('### Of the module');
const flightOptions = table('## Single flight');

const nameOf = (row: Row): string => code(row['option']) ?? '';
const names = (rows: readonly Row[]): string[] => rows.map(nameOf).sort();

describe('the options in README.md', () => {
  it('are all that there are', () => {
    expect(names(semaphoreOptions)).toEqual(Object.keys(resolveOptions()).sort());
    expect(names(moduleOptions)).toEqual(Object.keys(resolveModuleOptions()).sort());
  });

  it.each(semaphoreOptions.map((row) => [nameOf(row), row] as const))(
    'default and rule of %s',
    (name, row) => {
      expect(resolveOptions()).toHaveProperty([name], defaultOf(row));
      const others = name === 'weight' ? { permits: Number.MAX_SAFE_INTEGER } : {};
      expectRule(row, (value) => resolveOptions({ ...others, [name]: value }));
    },
  );

  it.each(moduleOptions.map((row) => [nameOf(row), row] as const))(
    'default and rule of the module option %s',
    (name, row) => {
      const given: unknown = Object.entries(resolveModuleOptions()).find(
        ([option]) => option === name,
      )?.[1];
      if (name === 'statusCodes') expect(given).toEqual(statusCodesIn(row));
      else if (name === 'log') expect(given).toMatchObject({ level: defaultOf(row) });
      else expect(given).toEqual(defaultOf(row));
      expectRule(row, (value) => resolveModuleOptions({ [name]: value }));
    },
  );

  it('has those of the log', () => {
    const rows = table('## Log options');
    const { level, events, sink } = resolveLog({ sink: () => undefined });
    expect(names(rows)).toEqual(Object.keys({ level, events, sink }).sort());
    expect(rows.map(defaultOf)).toEqual([level, events, undefined]);
    for (const one of ['none', 'problems', 'all'] as const) {
      expect(rows[0]?.['meaning']).toContain(`'${one}'`);
      expect(resolveLog({ level: one }).level).toBe(one);
    }
  });

  it.each(flightOptions.map((row) => [nameOf(row), row] as const))(
    'default and rule of the single flight option %s',
    (name, row) => {
      const isWords = name === 'serializer';
      const expected = isWords ? superjsonSerializer : defaultOf(row);
      expect(resolveFlightOptions({})).toHaveProperty([name], expected);
      expectRule(row, (value) => resolveFlightOptions({ [name]: value }));
    },
  );

  it('are all that there are of single flight', () => {
    expect(names(flightOptions)).toEqual(Object.keys(resolveFlightOptions({})).sort());
  });

  it('has those of the decorator', () => {
    expect(names(decoratorOptions)).toEqual(['key', 'onUnavailable']);
    const decorate = (options: object): void => {
      class Work {
        run(): void {}
      }
      const descriptor = Object.getOwnPropertyDescriptor(Work.prototype, 'run');
      Semaphore(options)(Work.prototype, 'run', descriptor ?? {});
    };
    const [, onUnavailable] = decoratorOptions;
    const values = [
      defaultOf(onUnavailable as Row),
      code(onUnavailable?.['meaning'])?.slice(1, -1),
    ];
    expect(values).toEqual(['throw', 'skip']);
    for (const value of values) decorate({ onUnavailable: value });
    expect(() => decorate({ onUnavailable: 'wait' })).toThrow(InvalidOptionsError);
    expect(() => decorate({ signal: new AbortController().signal, other: 1 })).toThrow(
      InvalidOptionsError,
    );
  });

  it('has those of the middleware', async () => {
    const service = new SemaphoreService({ log: 'none' });
    const defaults = middlewareOptions.map((row) => [nameOf(row), defaultOf(row)]);
    expect(defaults).toEqual([
      ['key', 'http'],
      ['acquireOnStart', true],
      ['releaseOnEnd', true],
    ]);
    for (const [name, value] of defaults) {
      semaphoreMiddleware(service, { [String(name)]: value });
      expect(() => semaphoreMiddleware(service, { [String(name)]: 5 })).toThrow(
        InvalidOptionsError,
      );
    }
    await service.close();
  });
});

const details = { permits: 1, weight: 1, waitMs: 0, maxWaiting: 0 };
const unavailable = (reason: 'busy' | 'timeout' | 'queue-full') =>
  new PermitUnavailableError('k', reason, 1500, details);
const errors: SemaphoreError[] = [
  unavailable('busy'),
  unavailable('timeout'),
  unavailable('queue-full'),
  new StoreUnavailableError('it is gone', 'k'),
  new SemaphoreClosedError('k'),
  new AcquireAbortedError('k', 'reason'),
  new SingleFlightTimeoutError('k', 5),
  new SingleFlightAbortedError('k', 'reason'),
  new PermitLostError('k', 'id', 'expired'),
  new ResultNotSharedError('k', 'it is a function'),
  new ScopeError('none', 'k'),
  new InvalidOptionsError('permits', 0, 'a whole number'),
];

@Controller()
class FailingController {
  @Get('errors/:index')
  fail(@Param('index') index: string): void {
    throw errors[Number(index)];
  }
}

describe('the lock server in README.md', () => {
  const options = table('## Options of the server');

  it('has all options', () => {
    expect(names(options)).toEqual(Object.keys(resolveServerOptions({})).sort());
  });

  it.each(options.filter((row) => row['default'] !== '').map((row) => [nameOf(row), row] as const))(
    'default and rule of %s',
    (name, row) => {
      expect(resolveServerOptions({})).toHaveProperty([name], defaultOf(row));
      expectRule(row, (value) => resolveServerOptions({ [name]: value }));
    },
  );

  it('has all calls, and refers to no others', async () => {
    const semaphores = new SemaphoreService({ log: 'none' });
    const http = createServer(createSemaphoreServer({ semaphores }).handler);
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}/openapi.json`);
    const { paths } = (await response.json()) as { paths: Record<string, object> };
    http.close();
    await semaphores.close();
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    // A path without a method stands for all of its methods.
    const listed = table('## The calls')
      .flatMap((row) => [...(row['call'] ?? '').matchAll(/`([^`]+)`/g)])
      .flatMap(([, text]) => {
        const methods = documented.filter((call) => call.endsWith(` ${text}`));
        return methods.length > 0 ? methods : [String(text)];
      });
    expect(listed.sort()).toEqual(documented.sort());
    const named = table('### Coming from …').flatMap((row) => [
      ...(row['here'] ?? '').matchAll(/`((?:GET|POST|PUT|DELETE) [^`]+)`/g),
    ]);
    expect(named.length).toBeGreaterThan(8);
    expect(documented).toEqual(expect.arrayContaining(named.map(([, call]) => call)));
  });
});

describe('the errors in README.md', () => {
  it('have the codes, statuses and bodies that it lists', async () => {
    class AppModule {}
    const semaphores = SemaphoreModule.forRoot();
    const module = { module: AppModule, imports: [semaphores], controllers: [FailingController] };
    const app = await NestFactory.create(module, { logger: false });
    try {
      await app.listen(0, '127.0.0.1');
      const url = await app.getUrl();
      const listed = table('## Errors').map((row) => ({
        error: code(row['error']),
        code: code(row['code']),
        status: Number(row['HTTP']),
      }));

      const real = errors.map(async (error, index) => {
        const response = await fetch(`${url}/errors/${index}`);
        const isRetriable = response.headers.has('retry-after');
        expect(isRetriable).toBe(response.status !== 500);
        if (isRetriable) {
          const body = (await response.json()) as object;
          expect(Object.keys(body)).toEqual(['statusCode', 'code', 'message', 'retryAfterMs']);
          expect(body).toMatchObject({ statusCode: response.status, code: error.code });
        }
        return { error: error.name, code: error.code, status: response.status };
      });

      expect(await Promise.all(real)).toEqual(listed);
    } finally {
      await app.close();
    }
  });
});

describe('the commands in README.md', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    name: string;
    scripts: Record<string, string>;
    peerDependencies: Record<string, string>;
    engines: { node: string };
  };
  const commands = blocksOf('bash');

  it('are scripts of this package, and what CI runs', () => {
    expect(commands).toEqual([
      'npm ci && npm run sample',
      'npm ci && npm run verify',
      expect.stringMatching(/^npm install /),
      'npm install @nestjs/platform-express\nnpm install --save-dev typescript @types/node',
      // What the tests of the quick start do.
      'npx tsc && node dist/main.js',
    ]);
    const run = pages.flatMap(({ text }) =>
      Array.from(text.matchAll(/npm run (?:-s )?([\w:-]+)/g), ([, script]) => script),
    );
    expect(Object.keys(manifest.scripts)).toEqual(expect.arrayContaining(run));
    const ci = readFileSync(join(root, '.ci/run'), 'utf8').split('\n');
    expect(ci).toEqual(expect.arrayContaining(['npm ci', 'npm run verify']));
  });

  it('install this package and a peer of it', () => {
    const [name, ...peers] = commands[2]?.split(' ').slice(2) ?? [];
    expect(name).toBe(manifest.name);
    expect(Object.keys(manifest.peerDependencies)).toEqual(expect.arrayContaining(peers));
    expect(manifest.engines.node).toBe('>=20.19');
  });
});

function defaultOf(row: Row): unknown {
  const text = code(row['default']);
  if (text === undefined) return undefined;
  if (text.startsWith("'")) return text.slice(1, -1);
  if (text === '{}') return {};
  if (text === 'true' || text === 'false') return text === 'true';
  return Number(text.replaceAll('_', ''));
}

/** `busy` (429), ... */
function statusCodesIn(row: Row): Record<string, number> {
  const pairs = row['meaning']?.matchAll(/`(\w+)` \((\d+)\)/g) ?? [];
  return Object.fromEntries([...pairs].map(([, name, status]) => [name, Number(status)]));
}

/** Tries values on both sides of every border that the table's rule draws. */
function expectRule(row: Row, resolve: (value: never) => unknown): void {
  const [rule = '', ...orObject] = (row['rule'] ?? '').split(', or object');
  const { good, bad } = samplesOf(rule);
  if (orObject.length > 0) good.push({});
  for (const value of good) expect(() => resolve(value as never)).not.toThrow();
  for (const value of [...bad, null, Symbol('none')]) {
    expect(() => resolve(value as never)).toThrow(InvalidOptionsError);
  }
}

function samplesOf(rule: string): { good: unknown[]; bad: unknown[] } {
  const least = /≥ (-?\d+)/.exec(rule)?.[1];
  if (least !== undefined) return numbers(rule, Number(least));
  const length = /^string, at most (\d+) characters$/.exec(rule)?.[1];
  if (length !== undefined) {
    return { good: ['x', 'x'.repeat(Number(length))], bad: ['x'.repeat(Number(length) + 1), 5] };
  }
  if (rule.startsWith("'")) {
    return { good: rule.split(', ').map((word) => word.slice(1, -1)), bad: ['other', 1] };
  }
  const kinds: Record<string, { good: unknown[]; bad: unknown[] }> = {
    'true, false': { good: [true, false], bad: ['true', 1] },
    AbortSignal: { good: [new AbortController().signal], bad: [{}, 'signal'] },
    'share from 0 to 1': { good: [0, 0.5, 1], bad: [-0.1, 1.1, '1'] },
    serializer: { good: [superjsonSerializer], bad: [{}, 'json'] },
    SemaphoreStore: { good: [new MemorySemaphoreStore()], bad: [{}, 'memory'] },
    'Redis URL': { good: ['redis://localhost', 'rediss://r:1/2'], bad: ['here', 1] },
    object: { good: [{}], bad: ['object', 1] },
  };
  const samples = kinds[rule];
  if (samples === undefined) throw new Error(`What does the rule "${rule}" say?`);
  return samples;
}

function numbers(rule: string, least: number): { good: unknown[]; bad: unknown[] } {
  const good: unknown[] = [least, least + 2];
  const bad: unknown[] = [least - 0.5, -Infinity, Number.NaN, String(least + 1)];
  (rule.startsWith('whole number') ? bad : good).push(least + 0.5);
  (rule.endsWith('or Infinity') ? good : bad).push(Infinity);
  const most = /≤ (\d+)/.exec(rule)?.[1];
  if (most !== undefined) {
    good.push(Number(most));
    bad.push(Number(most) + 1);
  }
  return { good, bad };
}
