import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SemaphoreService } from 'nestjs-semaphore';
import { RemoteSemaphoreStore, type RemoteSemaphoreStoreOptions } from 'nestjs-semaphore/client';
import { Cli, type CliResult } from '../support/cli.js';
import { LockClient, LockServer } from '../support/lock-server.js';
import { startRedis } from '../support/redis-server.js';
import { pollUntil } from '../support/redis-admin.js';
import { Semaphores } from '../support/semaphores.js';

const API_KEY = 'a-key-of-the-server-tests';

const open = (options: RemoteSemaphoreStoreOptions): SemaphoreService =>
  new SemaphoreService({ store: new RemoteSemaphoreStore(options), log: 'none' });

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

describe('nestjs-semaphore serve', () => {
  it('says where it listens and who can connect', async () => {
    const { server, url } = await Cli.serve(['-N', '-p', '0']);
    await using _ = server;
    expect(url).toMatch(/^http:\/\/localhost:\d+$/);
    await server.said(/There is no API key: only this machine can connect/);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('keeps its log away from its results, and goes on when nobody reads these', async () => {
    await using server = new Cli(['serve', '-N', '-p', '0', '--json']);
    const [, url = ''] = await server.said(/"url":"([^"]+)"/);
    const client = new LockClient(url, '');
    const [line = '', ...others] = server.stdout.split('\n');
    expect(JSON.parse(line)).toMatchObject({ url, store: 'memory' });
    expect(others).toEqual(['']);
    server.closeOutput();
    for (const permits of [3, 2]) {
      expect((await client.acquire('k', { permits })).status).toBe(201);
    }
    await server.said(/has 2 permits now/);
    expect(JSON.parse(server.stderr)).toMatchObject({ level: 'warn' });
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('keeps idle connections for longer than a proxy in front of it', async () => {
    const { server, url } = await Cli.serve(['-N', '-p', '0']);
    await using _ = server;
    const { headers } = await fetch(`${url}/health`);
    expect(headers.get('keep-alive')).toBe('timeout=65');
  });

  it('writes its log without colours where it is no terminal', async () => {
    const { server, url } = await Cli.serve(['-N', '-p', '0']);
    await using _ = server;
    const client = new LockClient(url, '');
    for (const permits of [3, 2]) await client.acquire('k', { permits });
    await server.said(/has 2 permits now/);
    expect(server.stderr).not.toContain('\u001b');
  });

  (hasIpv6 ? it : it.skip)('takes an address of IPv6 as it is written in a URL', async () => {
    const { server, url } = await Cli.serve(['-N', '-p', '0', '-H', '[::1]']);
    await using _ = server;
    expect(new URL(url).hostname).toBe('[::1]');
  });

  it('refuses to listen for others without an API key, and says what to do', async () => {
    const { code, stderr } = await Cli.run(['serve', '-N', '-p', '0', '-H', '0.0.0.0']);
    expect(code).toBe(2);
    expect(stderr).toContain('Give --api-key, or --host localhost');
  });

  it.each([
    ['an API key that is too short', ['--api-key', 'k1'], 'apiKeys[0].key'],
    ['files of TLS that are not there', ['--tls-cert', '/no', '--tls-key', '/no'], '--tls-cert'],
  ])('ends at %s, with Redis already open', async (_what, flags, said) => {
    await using redis = await startRedis();
    const { code, stderr } = await Cli.run([
      'serve',
      '-p',
      '0',
      '--redis-url',
      redis.url,
      ...flags,
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain(said);
  });

  it('takes several API keys, and never writes them', async () => {
    const keys = [API_KEY, `${API_KEY}-2`];
    const flags = keys.flatMap((key) => ['--api-key', key]);
    const { server, url } = await Cli.serve(['-N', '-p', '0', '-H', '0.0.0.0', ...flags]);
    await using _ = server;
    const local = url.replace('0.0.0.0', '127.0.0.1');
    for (const apiKey of keys) {
      const semaphores = open({ url: local, apiKey });
      await (await semaphores.acquire('k')).release();
      await semaphores.close();
    }
    const refused = await Cli.run(['list', '--url', local, '--api-key', 'another-key-of-somebody']);
    expect(refused).toMatchObject({ code: 77, stderr: expect.stringContaining('401') });
    expect(server.stdout + server.stderr + refused.stderr).not.toMatch(
      /-of-the-server|-of-somebody/,
    );
  });

  it('tells its clients by the exit code 77 what their API key may not do', async () => {
    await using services = new Semaphores({});
    await using server = await LockServer.start(services.open(), {
      apiKeys: [{ key: API_KEY, role: 'use', prefixes: ['shop:'] }],
    });
    const run = (...args: string[]): Promise<CliResult> =>
      Cli.run([...args, '--url', server.url, '--api-key', API_KEY]);
    const [own, other, act] = await Promise.all([
      run('inspect', 'shop:till'),
      run('inspect', 'bank:safe'),
      run('set-permits', 'shop:till', '2'),
    ]);
    expect([own.code, other.code, act.code]).toEqual([0, 77, 77]);
    expect(other.stderr).toContain('one that the API key may use');
    expect(act.stderr).toContain('The API key must be one with the role `admin`.');
  });

  it('stops within bounded time when it gets SIGTERM, whatever is open', async () => {
    const { server, url } = await Cli.serve(['-N', '-p', '0']);
    await using _ = server;
    const semaphores = open({ url, storeTimeoutMs: 500 });
    await semaphores.acquire('k');
    const waits = semaphores.acquire('k', { waitMs: 60_000 }).catch((error: unknown) => error);
    await pollUntil('one waits', async () => (await semaphores.inspect('k')).waiters.length === 1);
    // Somebody who sends half a request and then nothing.
    const silent = connect(Number(new URL(url).port), 'localhost');
    silent.on('error', () => undefined);
    await once(silent, 'connect');
    silent.write('POST /lock HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{');

    const before = performance.now();
    server.signal('SIGTERM');
    const { code } = await server.exited;

    expect(code).toBe(0);
    expect(performance.now() - before).toBeLessThan(8000);
    await semaphores.close();
    await waits;
    silent.destroy();
  });

  it('stops at once when all that is open are sessions and waiters', async () => {
    const { server, url } = await Cli.serve(['-N', '-p', '0']);
    await using _ = server;
    const client = new LockClient(url, '');
    const { stream } = await client.openSession();
    await client.acquire('k');
    const waits = client.acquire('k', { waitMs: 60_000 });
    await pollUntil('one waits', async () => {
      const { waiters } = (await client.inspect('k')).body;
      return (waiters as unknown[]).length === 1;
    });
    const before = performance.now();
    server.signal('SIGTERM');
    const { status, headers } = await waits;
    expect([status, headers.get('connection')]).toEqual([503, 'close']);
    expect(await stream.next()).toBeUndefined();
    expect((await server.exited).code).toBe(0);
    // Before it cuts what is open.
    expect(performance.now() - before).toBeLessThan(2500);
  });

  it('ends with an error when its port is taken', async () => {
    const { server, url } = await Cli.serve(['-N', '-p', '0']);
    await using _ = server;
    const other = await Cli.run(['serve', '-N', '-p', new URL(url).port]);
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('EADDRINUSE') });
  });

  it('finds Redis by flags, then by the environment, then by .env', async () => {
    await using redis = await startRedis();
    const { hostname: host, port } = new URL(redis.url);
    const nowhere = { REDIS_URL: 'redis://127.0.0.1:1' };
    const parts = { REDIS_HOST: host, REDIS_PORT: port };
    const wrongParts = { REDIS_HOST: '127.0.0.1', REDIS_PORT: 'none' };
    const flags = ['-R', host, '-P', port];
    const folder = await mkdtemp(join(tmpdir(), 'semaphore-env-'));
    const start = async (
      args: string[],
      env: Record<string, string>,
      file: Record<string, string>,
      tries = 20,
    ): Promise<number> => {
      const cwd = await mkdtemp(join(folder, 'place-'));
      const lines = Object.entries(file).map(([name, value]) => `${name}=${value}`);
      await writeFile(join(cwd, '.env'), lines.join('\n'));
      const { server, url } = await Cli.serve(['-p', '0', ...args], { cwd, env });
      await using _ = server;
      let status = 0;
      // A busy machine may take longer to connect than the server waits.
      for (let left = tries; status !== 200 && left > 0; left--) {
        status = (await fetch(`${url}/health`)).status;
      }
      return status;
    };
    try {
      const found = await Promise.all([
        start([], {}, parts),
        start([], parts, nowhere),
        start([], { REDIS_URL: redis.url }, wrongParts),
        start(flags, nowhere, nowhere),
        start(['-R', host], { REDIS_PORT: port }, nowhere),
      ]);
      expect(found).toEqual([200, 200, 200, 200, 200]);
      expect(await start([], nowhere, parts, 1)).toBe(503);
      const { code, stderr } = await Cli.run(['serve', '-p', '0'], { env: wrongParts });
      expect([code, stderr]).toEqual([2, expect.stringContaining('REDIS_PORT is "none"')]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  describe('with TLS', () => {
    let folder: string;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'semaphore-tls-'));
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
      const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
      const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
      await promisify(execFile)('openssl', [...args, '-nodes', '-days', '2', ...subject, ...files]);
    });

    afterAll(() => rm(folder, { recursive: true }));

    it('serves HTTPS to clients that trust its certificate', async () => {
      const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
      const files = ['--tls-cert', cert, '--tls-key', key];
      const { server, url } = await Cli.serve(['-N', '-p', '0', '--api-key', API_KEY, ...files]);
      await using _ = server;
      expect(url).toMatch(/^https:/);
      const trusting = open({ url, apiKey: API_KEY, tls: { ca: await readFile(cert) } });
      await (await trusting.acquire('k')).release();
      await trusting.close();
      const other = open({ url, apiKey: API_KEY, storeTimeoutMs: 300 });
      await expect(other.acquire('k')).rejects.toThrow(/certificate/);
      await other.close();
    });
  });
});
