import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startCluster } from '../../support/redis-cluster.js';
import { freePort } from '../../support/redis-ports.js';
import { startSentinel } from '../../support/redis-sentinel.js';
import { useRedis } from '../../support/redis-server.js';
import { ReadmeProject } from './readme-project.js';
import { blocks, blocksOf, root } from './readme.js';

/** Each recipe's check, and the files of README.md that it runs. */
const RECIPES: Record<string, readonly string[]> = {
  'exports.controller': ['src/exports.controller.ts'],
  'geocoder.service': ['src/geocoder.service.ts'],
  'invoices.service': ['src/invoices.service.ts'],
  'cleanup.job': ['src/cleanup.job.ts'],
  'search.controller': ['src/search.controller.ts'],
  'transfers.service': ['src/transfers.service.ts'],
  'uploads.service': ['src/uploads.service.ts'],
  'previews.service': ['src/previews.service.ts'],
  'imports.controller': ['src/imports.controller.ts'],
  'mail.module': ['src/mail.module.ts'],
  'quotes.module': ['src/quotes.module.ts'],
  'configured.module': ['src/configured.module.ts'],
  telemetry: ['src/telemetry.ts'],
  'health.controller': ['src/health.controller.ts'],
  'logged.module': ['src/logged.module.ts'],
  'semaphores.admin': ['src/semaphores.admin.ts'],
  'orders.service': ['src/orders.service.ts'],
  'reports.server': ['src/reports.server.ts'],
  'dashboard.module': ['src/dashboard.module.ts'],
  'thumbnails.function': ['src/thumbnails.function.ts'],
  worker: ['src/worker.ts'],
  'rates.service': ['src/rates.service.ts'],
  tokens: ['src/tokens.ts'],
  remote: ['src/remote.ts'],
  accounts: ['src/accounts.sql', 'src/accounts.ts'],
  prices: ['src/prices.ts'],
  'locks.module': ['src/locks.module.ts', 'src/locks.client.ts'],
  'shipments.consumer': ['src/shipments.consumer.ts'],
  devices: ['src/devices.controller.ts', 'src/devices.client.ts'],
};

/** Run by tests of their own. */
const OTHER_FILES = [
  'tsconfig.json',
  'jest.config.cjs',
  'src/main.ts',
  'src/app.module.ts',
  'src/reports.controller.ts',
  'src/redis-topologies.ts',
  'src/lease.test.ts',
  'src/store.test.ts',
];

const LONG_MS = 60_000;

describe('README.md, typed in', () => {
  let project: ReadmeProject;
  const redis = useRedis({ args: ['--databases', '64'] });
  const cleanUp: (() => Promise<void>)[] = [];
  let databases = 0;

  beforeAll(async () => {
    project = await ReadmeProject.create();
    cleanUp.push(() => project[Symbol.asyncDispose]());
    await project.compile(project.folder);
  }, 240_000);

  afterAll(async () => {
    await Promise.all(cleanUp.map((step) => step()));
  });

  /** A database of its own for each check. */
  const freshRedis = (): string => `${redis.url}/${databases++}`;

  const check = (name: string, env: Record<string, string> = {}, ...args: string[]) =>
    project.run([`checks/${name}.mjs`, ...args], env);

  it('has a check for each of its files', () => {
    const files = blocks.flatMap(({ file }) => file ?? []);
    expect(new Set(files).size).toBe(files.length);
    expect([...Object.values(RECIPES).flat(), ...OTHER_FILES].sort()).toEqual(files.sort());
    const checks = readdirSync(join(import.meta.dirname, 'checks'));
    const others = ['support', 'quick-start', 'redis-topologies', 'acl', 'cluster-acl'];
    const expected = [...Object.keys(RECIPES), ...others].map((name) => `${name}.mjs`);
    expect(checks.sort()).toEqual(expected.sort());
  });

  it.each(Object.keys(RECIPES))(
    'does what it says: %s',
    async (name) => {
      await check(name, { REDIS_URL: freshRedis(), METRICS_PORT: String(await freePort()) });
    },
    LONG_MS,
  );

  it(
    'limits the quick start as an ES module, in memory',
    async () => {
      await check('quick-start', {}, project.folder);
    },
    LONG_MS,
  );

  it(
    'limits the quick start as CommonJS, on Redis over two instances',
    async () => {
      await project.compile(project.commonJs);
      const main = await readFile(join(project.commonJs, 'dist/main.js'), 'utf8');
      expect(main).toContain('require("./app.module.js")');

      await check('quick-start', { REDIS_URL: freshRedis() }, project.commonJs);
    },
    LONG_MS,
  );

  it(
    'lets Jest test the quick start as CommonJS',
    async () => {
      await project.compile(project.commonJs);
      const config = join(project.commonJs, 'jest.config.cjs');
      // The application's own files are compiled already.
      const settings = (await readFile(config, 'utf8')).replace(/, '[^']+': 'ts-jest'/, '');
      expect(settings).not.toContain('ts-jest');
      await writeFile(config, settings);
      // pnpm has a folder within a folder for each package.
      const ignored = new RegExp(/'(node_modules\/\(.*)'/.exec(settings)?.[1] ?? '');
      const ofPnpm = (name: string) =>
        `node_modules/.pnpm/${name}@1.0.0/node_modules/${name}/index.js`;
      expect(['nestjs-semaphore', 'express'].map((name) => ignored.test(ofPnpm(name)))).toEqual([
        false,
        true,
      ]);
      await copyFile(
        join(import.meta.dirname, 'app-test.cjs'),
        join(project.commonJs, 'app.test.js'),
      );
      const jest = join(root, 'node_modules/jest/bin/jest.js');

      const output = await project.run([jest, '--config', config, '--no-cache']);

      expect(output).toMatch(/^Tests: +1 passed, 1 total$/m);
    },
    LONG_MS,
  );

  it(
    'passes its examples of tests',
    async () => {
      expect(await project.run(['--test', 'dist/lease.test.js'])).toMatch(/^(#|ℹ) pass 1$/m);
      const output = await project.run(['--test', 'dist/store.test.js']);
      expect(Number(/^(?:#|ℹ) pass (\d+)$/m.exec(output)?.[1])).toBeGreaterThan(20);
    },
    LONG_MS,
  );

  it(
    'reaches Sentinel, Cluster, and Redis with the settings of an instance',
    async () => {
      await using sentinel = await startSentinel();
      await using cluster = await startCluster();
      const file = join(project.folder, 'dist/redis-topologies.js');
      const local = (await readFile(file, 'utf8'))
        .replace("{ host: 'sentinel-1', port: 26379 }", listOf(sentinel.sentinels))
        .replace('mymaster', sentinel.name)
        .replace("{ host: 'redis-1', port: 6379 }", listOf(cluster.nodes))
        .replace("host: 'redis-1', port: 6379", `host: '${redis.host}', port: ${redis.port}`);
      expect(local).not.toMatch(/26379|6379\b|redis-1|sentinel-1/);
      await writeFile(file.replace('.js', '.local.js'), local);

      await check('redis-topologies');

      const nodes = JSON.stringify(cluster.masters.map(({ host, port }) => ({ host, port })));
      const [acl = ''] = blocksOf('text');
      await check('cluster-acl', { CLUSTER_NODES: nodes, ACL_SETUSER: acl });
    },
    LONG_MS,
  );

  it(
    'needs the Redis commands, keys and channels that it lists, and no others',
    async () => {
      const [acl = '', ...others] = blocksOf('text');
      expect(acl).toMatch(/^ACL SETUSER /);
      expect(others).toEqual([]);
      const scripts = await commandsOfScripts();
      expect(scripts.filter((name) => !acl.includes(`+${name}`))).toEqual([]);
      // The user's database is the first one.
      const env = { REDIS_URL: redis.url, ACL_SETUSER: acl, SCRIPT_COMMANDS: scripts.join(' ') };
      await check('acl', env);
    },
    LONG_MS,
  );
});

/** What the scripts call, in lower case. */
async function commandsOfScripts(): Promise<string[]> {
  const folder = join(root, 'lib/store/redis/scripts');
  const files = readdirSync(folder, { encoding: 'utf8', recursive: true }).filter((name) =>
    name.endsWith('.lua'),
  );
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')));
  const calls = texts.join('\n').matchAll(/\b(?:call|send)\('([A-Z]+)'/g);
  const names = [...new Set([...calls].map(([, name = '']) => name.toLowerCase()))];
  expect(names).toContain('time');
  return names;
}

/** As elements of an array. */
function listOf(nodes: readonly { host: string; port: number }[]): string {
  return nodes.map(({ host, port }) => `{ host: '${host}', port: ${port} }`).join(', ');
}
