import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { useRedis } from '../support/redis-server.js';
import { packTarball } from './consumer.js';

let folder: string;
let tarball: string;
const redis = useRedis();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semaphore-npx-'));
  tarball = await packTarball(folder);
}, 150_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** As somebody types it in a folder with nothing in it, who has npm and nothing else. */
function npx(packages: readonly string[], ...args: string[]): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|INIT_CWD$|NODE_OPTIONS$|REDIS_URL$)/.test(name),
  );
  const env = {
    ...Object.fromEntries(inherited),
    npm_config_cache: join(folder, 'cache'),
    npm_config_registry: process.env['npm_config_registry'] ?? '',
  };
  if (env.npm_config_registry === '') delete (env as NodeJS.ProcessEnv)['npm_config_registry'];
  const flags = ['--yes', '--prefer-offline', ...packages.flatMap((name) => ['-p', name])];
  return new Promise((resolve) => {
    const child = execFile(
      'npx',
      [...flags, 'nestjs-semaphore', ...args],
      { cwd: folder, env, timeout: 200_000 },
      (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

it('runs through npx from an empty folder, on Redis, and says what is missing without ioredis', async () => {
  const command = ['run', 'k', '--redis-url', redis.url, '--', 'echo', 'under a permit'];

  expect(await npx([tarball], ...command)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('npm install ioredis'),
  });
  expect(await npx([tarball, 'ioredis@6'], ...command)).toMatchObject({
    code: 0,
    stdout: 'under a permit\n',
  });
}, 420_000);
