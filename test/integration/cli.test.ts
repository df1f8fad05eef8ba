import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SemaphoreService } from 'nestjs-semaphore';
import { Cli, type CliResult } from '../support/cli.js';
import { pollUntil } from '../support/redis-admin.js';
import { startRedis, useRedis } from '../support/redis-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

const API_KEY = 'a-key-of-the-command-line-tests';

const redis = useRedis();

describe('the command line', () => {
  let server: Cli;
  let semaphores: SemaphoreService;
  const places: Record<string, Record<string, string>> = {};

  beforeAll(async () => {
    const keyPrefix = uniquePrefix();
    semaphores = new SemaphoreService({ redis: redis.url, keyPrefix, log: 'none' });
    places['Redis'] = { REDIS_URL: redis.url, SEMAPHORE_KEY_PREFIX: keyPrefix };
    const served = await Cli.serve(['-p', '0'], {
      env: { ...places['Redis'], API_KEYS: `${API_KEY}, another-key-of-these-tests` },
    });
    server = served.server;
    places['a server'] = { SEMAPHORE_URL: served.url, SEMAPHORE_API_KEY: API_KEY };
  });

  afterAll(async () => {
    await semaphores.close();
    server.signal('SIGTERM');
    expect((await server.exited).code).toBe(0);
  });

  const on = (place: string, ...args: string[]): Cli => new Cli(args, { env: places[place] ?? {} });
  const onRedis = (...args: string[]): Promise<CliResult> => on('Redis', ...args).exited;

  const waiting = (key: string, count: number) =>
    pollUntil(`${count} wait for ${key}`, async () => {
      return (await semaphores.inspect(key)).waiters.length === count;
    });

  describe.each(['Redis', 'a server'])('on %s', (place) => {
    it('runs a command under a permit, with its token, and passes its exit code on', async () => {
      const key = `run on ${place}`;
      const script =
        'console.log(process.env.SEMAPHORE_KEY, process.env.SEMAPHORE_FENCING_TOKEN); process.exit(7)';
      const before = await semaphores.acquire(key);
      const running = on(place, 'run', key, '--', process.execPath, '-e', script);
      await waiting(key, 1);
      await before.release();

      const { code, stdout } = await running.exited;

      expect(code).toBe(7);
      const [, token] = /^run on .* (\d+)\n$/.exec(stdout) ?? [];
      expect(Number(token)).toBeGreaterThan(before.fencingToken);
      expect((await semaphores.inspect(key)).held).toBe(0);
    });

    it('ends the command when its permit is taken by force, even one that ignores SIGTERM', async () => {
      const key = `lost on ${place}`;
      const line = 'trap "" TERM; echo started; while true; do sleep 0.1; done';
      const running = on(place, 'run', key, '--kill-after', '200', '--command', line);
      await running.said(/started/);
      const [holder] = (await semaphores.inspect(key)).holders;

      const released = await on(place, 'release', key, holder?.id ?? '').exited;

      expect(released.code).toBe(0);
      const { code, stdout, stderr } = await running.exited;
      expect([code, stdout]).toEqual([76, 'started\n']);
      expect(stderr).toContain('was released by force');
    });

    it('ends soon after the command when the permit was lost because the store is gone', async () => {
      await using gone = await startRedis();
      const { server: served, url } = await Cli.serve(['-p', '0', '--redis-url', gone.url]);
      await using _ = served;
      const where = place === 'Redis' ? ['--redis-url', gone.url] : ['--url', url];
      const script = `process.on("SIGTERM", () => { console.log("ended"); process.exit(); });
        setInterval(() => undefined, 1000); console.log("started");`;
      const flags = ['run', 'k', '--lease', '1500', ...where];
      await using running = new Cli([...flags, '--', process.execPath, '-e', script]);
      await running.said(/started/);
      await gone.stop();
      await running.said(/ended/);
      const before = performance.now();
      expect((await running.exited).code).toBe(76);
      // What the store is given to answer elsewhere is 5 seconds.
      expect(performance.now() - before).toBeLessThan(4000);
    });

    it('lists, inspects and limits', async () => {
      const key = `shown on ${place}`;
      const permit = await semaphores.acquire(key, { label: 'nightly', permits: 2 });

      const listed = await on(place, 'list', `shown on ${place}*`, '--json').exited;
      const inspected = await on(place, 'inspect', key).exited;
      const limited = await on(place, 'set-permits', key, '5').exited;

      expect(JSON.parse(listed.stdout)).toEqual([
        { key, permits: 2, held: 1, available: 1, holders: 1, waiting: 0 },
      ]);
      expect(inspected.stdout).toContain(`${key}: 1 of 2 permits held, 0 waiting`);
      expect(inspected.stdout).toMatch(new RegExp(`${permit.id} +\\d+s +2\\ds +1 .*nightly`));
      expect(limited.code).toBe(0);
      expect((await semaphores.inspect(key)).permits).toBe(5);
      const pinned = await on(place, 'inspect', key).exited;
      expect(pinned.stdout).toContain(`${key}: 1 of 5 permits (pinned) held, 0 waiting`);
      const json = await on(place, 'inspect', key, '--json').exited;
      expect(JSON.parse(json.stdout)).toEqual(await semaphores.inspect(key));
      await on(place, 'set-permits', key, 'none').exited;
      expect((await on(place, 'inspect', key).exited).stdout).not.toContain('pinned');
      await permit.release();

      const endless = await semaphores.acquire(key, { leaseMs: Infinity });
      const { stdout } = await on(place, 'inspect', key, '--json').exited;
      expect(JSON.parse(stdout)).toMatchObject({ holders: [{ id: endless.id, expiresAt: null }] });
      await endless.release();
    });
  });

  it('passes signals on, and ends as the command does', async () => {
    const line = 'trap "echo got it; exit 3" TERM; echo started; while true; do sleep 0.1; done';
    const running = on('Redis', 'run', 'signalled', '--command', line);
    await running.said(/started/);
    running.signal('SIGTERM');
    expect(await running.exited).toMatchObject({ code: 3, stdout: 'started\ngot it\n' });

    const other = on('Redis', 'run', 'signalled', '--', 'sh', '-c', 'echo started; exec sleep 60');
    await other.said(/started/);
    other.signal('SIGHUP');
    expect((await other.exited).code).toBe(128 + 1);
    expect((await semaphores.inspect('signalled')).held).toBe(0);
  });

  it.each(['SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const)(
    'does not leave the command alone when it gets %s',
    async (signal) => {
      const line = `trap "echo got it; exit 3" ${signal.slice(3)}; echo started; while true; do sleep 0.1; done`;
      await using running = on('Redis', 'run', signal, '--command', line);
      await running.said(/started/);
      running.signal(signal);
      expect(await running.exited).toMatchObject({ code: 3, stdout: 'started\ngot it\n' });
      expect((await semaphores.inspect(signal)).held).toBe(0);
    },
  );

  it('leaves the queue when a signal comes before the permit', async () => {
    const permit = await semaphores.acquire('queue');
    const running = on('Redis', 'run', 'queue', '--wait', 'forever', '--', 'echo', 'ran');
    await waiting('queue', 1);
    running.signal('SIGINT');
    expect(await running.exited).toMatchObject({ code: 128 + 2, stdout: '' });
    await waiting('queue', 0);
    await permit.release();
  });

  it('says with its exit code what went wrong', async () => {
    const permit = await semaphores.acquire('taken');
    const cases: [number, string[], Record<string, string>?][] = [
      [75, ['run', 'taken', '--wait', '0', '--', 'true']],
      [75, ['run', 'taken', '--max-waiting', '0', '--', 'true']],
      [127, ['run', 'free', '--', 'no-such-command']],
      [127, ['run', 'free', '--', '/etc/passwd/x']],
      [126, ['run', 'free', '--', '/etc/passwd']],
      [126, ['run', 'free', '--', '']],
      [1, ['release', 'taken', 'nobody']],
      [2, ['run', 'free']],
      [2, ['run', 'free', '--command', '']],
      [2, ['run', 'free', '--permits', '0', '--', 'true']],
      [2, ['inspect', 'x'.repeat(513)]],
      [2, ['no-such-command']],
      [2, ['list'], { REDIS_URL: '' }],
      [2, ['list', '--url', 'http://x', '--redis-url', 'redis://x']],
      [2, ['serve', '--no-redis', '--host', '0.0.0.0']],
      [2, ['serve', '--no-redis', '--tls-cert', 'only.pem']],
      [2, ['serve', '--no-redis'], { PORT: 'http' }],
      [2, ['serve', '--no-redis', '--redis-url', 'redis://x']],
      [2, ['serve', '--redis-host', 'x', '--redis-url', 'redis://x']],
      [2, ['list', '--url', 'http://127.0.0.1:9', '--api-key', '']],
      [69, ['list', '--url', 'http://127.0.0.1:9']],
      [0, ['--help']],
      [0, ['--version']],
    ];
    const results: CliResult[] = [];
    // Not more at once than a small machine can start in time.
    for (let i = 0; i < cases.length; i += 3) {
      const some = cases
        .slice(i, i + 3)
        .map(([, args, env]) => Cli.run(args, { env: { ...places['Redis'], ...env } }));
      results.push(...(await Promise.all(some)));
    }
    expect(results.map(({ code }, i) => [cases[i]?.[1], code])).toEqual(
      cases.map(([code, args]) => [args, code]),
    );
    await permit.release();
  }, 120_000);

  it('writes errors as JSON too', async () => {
    const [{ code, stderr }, usage] = await Promise.all([
      onRedis('release', 'free', 'nobody', '--json'),
      onRedis('serve', '--default-expiry', 'forever', '--json'),
    ]);
    expect([usage.code, JSON.parse(usage.stderr)]).toEqual([
      2,
      {
        error: {
          code: 'USAGE',
          message: expect.stringMatching(/^option '-E.* a whole number from 1 to 2147483647\.$/),
          exitCode: 2,
        },
      },
    ]);
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'NOT_FOUND', message: expect.stringContaining('nobody'), exitCode: 1 },
    });
    const other = await onRedis('run', 'free', '--', 'no-such-command', '--json');
    expect(other.stderr).toBe('nestjs-semaphore: no-such-command: command not found\n');
  });

  it('shows names that would steer the terminal as text, within 80 columns and without colours', async () => {
    const key = `evil \u001b[31m\u202e${'語'.repeat(120)}`;
    const label = `\u001b]0;title\u0007${'x'.repeat(200)}`;
    const permit = await semaphores.acquire(key, { label, leaseMs: Infinity });
    const waits = semaphores.acquire(key, { label, priority: -100_000, waitMs: 60_000 });
    await waiting(key, 1);

    const refused = await onRedis('release', `${key}\n`, 'nobody');
    expect(refused.stderr).toMatch(/^nestjs-semaphore: Nobody holds [^\p{Cc}\p{Cf}]+\n$/u);
    const results = await Promise.all([
      onRedis('list'),
      onRedis('inspect', key),
      onRedis('inspect', key, '--json'),
    ]);

    for (const { code, stdout } of results) {
      expect(code).toBe(0);
      expect(stdout).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
    }
    const [listed, inspected, json] = results;
    for (const line of `${listed?.stdout}${inspected?.stdout}`.split('\n')) {
      const wide = line.match(/[語]/g)?.length ?? 0;
      expect(line.length + wide).toBeLessThanOrEqual(80);
    }
    expect(listed?.stdout).toContain('evil \\x1b[31m\\u{202e}');
    expect(inspected?.stdout).toContain('never');
    expect(JSON.parse(json?.stdout ?? '')).toMatchObject({ key, holders: [{ label }] });
    await permit.release();
    await (await waits).release();
  });

  it('reads .env, below the environment, below flags', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'semaphore-cli-'));
    try {
      // Some editors begin a file with a mark.
      const lines = [`\uFEFFREDIS_URL=${redis.url}`, 'SEMAPHORE_KEY_PREFIX=from-file'];
      await writeFile(join(folder, '.env'), lines.join('\n'));
      const prefix = places['Redis']?.['SEMAPHORE_KEY_PREFIX'] ?? '';
      const permit = await semaphores.acquire('env');
      const list = async (args: string[], env: Record<string, string>): Promise<unknown> => {
        const { stdout } = await Cli.run(['list', 'env', '--json', ...args], { cwd: folder, env });
        return (JSON.parse(stdout) as unknown[]).length;
      };
      expect(await list([], {})).toBe(0);
      expect(await list([], { SEMAPHORE_KEY_PREFIX: prefix })).toBe(1);
      expect(await list(['--key-prefix', 'x'], { SEMAPHORE_KEY_PREFIX: prefix })).toBe(0);
      await permit.release();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
