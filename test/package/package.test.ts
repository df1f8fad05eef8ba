import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withRedis } from '../support/redis-admin.js';
import { type RedisServer, useRedis } from '../support/redis-server.js';
import { Consumer, packTarball, temporaryFolder } from './consumer.js';
import { links } from './readme/readme.js';

const nest12 = ['@nestjs/common@12', '@nestjs/core@12', 'reflect-metadata@0.2', 'rxjs@7'];
/** The oldest that package.json allows, but for rxjs: of 7.2 TypeScript finds no types where `module` is nodenext. */
const oldest = [
  '@nestjs/common@11.0.0',
  '@nestjs/core@11.0.0',
  'reflect-metadata@0.1.13',
  'rxjs@7',
  'ioredis@5.0.0',
];

const BUNDLES = ['CommonJS', 'an ES module', 'CommonJS, with addresses of its files'] as const;

interface Manifest {
  exports: Record<string, string | { types: string }>;
  types: string;
  typesVersions: { '*': Record<string, string[]> };
}

describe('the packed tarball', () => {
  let tarball: string;
  const redis = useRedis();
  const cleanUp: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    const folder = await temporaryFolder();
    cleanUp.push(() => rm(folder, { recursive: true, force: true }));
    tarball = await packTarball(folder);
  }, 150_000);

  afterAll(async () => {
    await Promise.all(cleanUp.map((step) => step()));
  });

  it('holds the documents that its pages link to', async () => {
    const { stdout } = await promisify(execFile)('tar', ['-tzf', tarball]);
    const linked = links().map(({ path }) => `package/${path}`);

    expect(linked).toContain('package/docs/grafana.json');
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(linked));
  });

  it('names the types of every entry point twice: TypeScript 5 does not read exports where `module` is commonjs', async () => {
    const text = await readFile(join(import.meta.dirname, '../../package.json'), 'utf8');
    const { exports, types, typesVersions } = JSON.parse(text) as Manifest;
    const entries = Object.entries(exports).flatMap(([path, entry]) =>
      typeof entry === 'string' ? [] : [[path.replace(/^\.\/?/, ''), [entry.types]]],
    );

    expect({ '': [types], ...typesVersions['*'] }).toEqual(Object.fromEntries(entries));
  });

  const onRedis = [
    {
      app: 'an ES module',
      type: 'module',
      versions: 'Nest 12, ioredis 6',
      dependencies: [...nest12, 'ioredis@6'],
    },
    {
      app: 'a CommonJS app',
      type: 'commonjs',
      versions: 'Nest 12, ioredis 6',
      dependencies: [...nest12, 'ioredis@6'],
    },
    {
      app: 'an ES module',
      type: 'module',
      versions: 'Nest 11.0, ioredis 5.0',
      dependencies: oldest,
    },
  ] as const;

  it.each(onRedis)(
    'type-checks in $app ($versions), takes a permit on Redis and lets the process end',
    async ({ type, dependencies }) => {
      await using consumer = await Consumer.create(tarball, { type, dependencies });
      await consumer.compile();
      const scriptsBefore = await scriptCalls(redis);

      const result: unknown = JSON.parse(await consumer.start({ REDIS_URL: redis.url }));

      expect(result).toMatchObject({ token: expect.any(Number), degraded: false });
      expect(await scriptCalls(redis)).toBeGreaterThan(scriptsBefore);
      if (type === 'commonjs') await consumer.typeCheckAsCommonJs();
    },
    240_000,
  );

  it('type-checks and runs in memory where ioredis is not installed, and says at start when it needs it', async () => {
    await using consumer = await Consumer.create(tarball, {
      type: 'module',
      dependencies: nest12,
    });
    expect(await consumer.installed()).not.toContain('ioredis');
    await consumer.compile();

    const result: unknown = JSON.parse(await consumer.start({}));

    expect(result).toMatchObject({ token: expect.any(Number), degraded: false });

    const onRedis = consumer.start({ REDIS_URL: 'redis://:secret@localhost' });
    await expect(onRedis).rejects.toThrow(
      /Expected `redis` to be used with the package ioredis.*`npm install ioredis`.*\/\/\*\*\*@localhost/u,
    );
    // Without a module there is no start: the first call says it, before a process that has nothing else to do ends.
    const withoutModule = consumer.evaluate(
      `import { SemaphoreService } from 'nestjs-semaphore';
      await new SemaphoreService({ redis: 'redis://localhost', log: 'none' }).acquire('k');`,
    );
    await expect(withoutModule).rejects.toThrow(/StoreUnavailableError.*`npm install ioredis`/u);
  }, 240_000);

  it('runs from one file, the dashboard too, when a bundler has made it of everything', async () => {
    const dependencies = [...nest12, '@nestjs/platform-express@12', 'ioredis@6', 'esbuild@0.28'];
    await using consumer = await Consumer.create(tarball, { type: 'module', dependencies });

    const results = await Promise.all(
      BUNDLES.map(async (format) => {
        const output = await consumer.startBundle(format, { REDIS_URL: redis.url });
        return JSON.parse(output) as unknown;
      }),
    );

    const answer = { status: 200, type: 'text/css; charset=utf-8' };
    const right = { ...answer, token: expect.any(Number), hasTelemetry: true };
    expect(results).toEqual(BUNDLES.map(() => right));
    // Who uses the errors alone gets neither stores nor Nest.
    const errors = await consumer.bundleOf('PermitUnavailableError');
    expect(errors).toContain('SEMAPHORE_TIMEOUT');
    expect(errors.length).toBeLessThan(20_000);
  }, 240_000);
});

/** How many script calls the server has served. */
function scriptCalls(server: RedisServer): Promise<number> {
  return withRedis(server.port, async (redis) => {
    const stats = await redis.info('commandstats');
    const calls = [...stats.matchAll(/^cmdstat_(?:eval|evalsha|fcall):calls=(\d+)/gm)];
    return calls.reduce((sum, [, count]) => sum + Number(count), 0);
  });
}
