import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { serve, type ServeFlags } from '../../../lib/cli/commands/serve.js';
import { Environment } from '../../../lib/cli/environment.js';
import { Output } from '../../../lib/cli/output.js';
import { rejection } from '../../support/semaphores.js';

describe('serve', () => {
  let folder: string;
  let stdout: PassThrough;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'semaphore-serve-'));
    stdout = new PassThrough();
  });

  afterEach(() => rm(folder, { recursive: true }));

  function start(flags: Partial<ServeFlags>, variables: NodeJS.ProcessEnv = {}): Promise<void> {
    const output = new Output({ stdout, stderr: new PassThrough() }, {}, true);
    const env = new Environment(variables, folder);
    return serve({ redis: false, port: 0, ...flags }, env, output);
  }

  test.each<[string, Partial<ServeFlags>, NodeJS.ProcessEnv]>([
    ['a name that begins like loopback', { host: '127.0.0.1.example' }, {}],
    ['another address, by the environment', {}, { HOST: '0.0.0.0' }],
    ['a host of Redis without Redis', { redisHost: 'x' }, {}],
    ['a port of Redis without Redis', { redisPort: 1 }, {}],
    ['a URL and a port of Redis', { redis: true, redisUrl: 'redis://x', redisPort: 1 }, {}],
    ['a port that is none, by the environment', { port: undefined }, { PORT: '65536' }],
    ['an expiry that is none, by the environment', {}, { DEFAULT_EXPIRY: '0' }],
  ])('refuses %s', async (_, flags, variables) => {
    expect(await rejection(start(flags, variables))).toMatchObject({ code: 'USAGE' });
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('ends at %s', async (signal) => {
    const served = start({}, { PORT: '1' });
    const [line] = (await once(stdout, 'data')) as [Buffer];
    const { url, ...facts } = JSON.parse(String(line)) as { url: string };
    expect(facts).toEqual({ store: 'memory', apiKeys: 0 });
    expect(new URL(url).port).not.toBe('1');
    process.emit(signal);
    await served;
  });
});
