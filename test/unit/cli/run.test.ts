import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SemaphoreService } from 'nestjs-semaphore';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Child } from '../../../lib/cli/child.js';
import { toCliError } from '../../../lib/cli/cli-error.js';
import { run, type RunFlags } from '../../../lib/cli/commands/run.js';
import { Output } from '../../../lib/cli/output.js';
import { pollUntil } from '../../support/redis-admin.js';
import { aborted, queued, rejection } from '../../support/semaphores.js';

const FLAGS: RunFlags = {
  permits: 1,
  weight: 1,
  wait: Infinity,
  lease: 30_000,
  priority: 0,
  killAfter: 5_000,
};

describe('run', () => {
  let service: SemaphoreService;
  let output: Output;
  let stderr: PassThrough;

  beforeEach(() => {
    service = new SemaphoreService({ log: 'none' });
    stderr = new PassThrough();
    output = new Output({ stdout: new PassThrough(), stderr }, {}, false);
  });

  afterEach(() => service.close());

  const runTrue = (flags: Partial<RunFlags>): Promise<number> =>
    run(service, output, 'k', ['true'], { ...FLAGS, ...flags });

  test('waits as its flags say', async () => {
    const permit = await service.acquire('k', { permits: 3, weight: 3 });
    const flags = { permits: 3, weight: 2, priority: 4, label: 'nightly' };
    const { outcome } = await queued(service, () => runTrue(flags));
    expect((await service.inspect('k')).waiters).toMatchObject([
      { weight: 2, priority: 4, label: 'nightly' },
    ]);
    expect(await rejection(runTrue({ permits: 3, maxWaiting: 1 }))).toMatchObject({
      reason: 'queue-full',
    });
    await permit.release();
    expect(await outcome).toBe(0);
  });

  test('ends as one that lost its permit when it is sent out of the queue', async () => {
    const permit = await service.acquire('k');
    const { outcome } = await queued(service, () => runTrue({}));
    const [waiter] = (await service.inspect('k')).waiters;
    await service.forceRelease('k', waiter?.id ?? '');
    expect(toCliError(await rejection(outcome))).toMatchObject({ exitCode: 76 });
    await permit.release();
  });

  test('wants a line for the shell or a command, not both', async () => {
    const both = run(service, output, 'k', ['true'], { ...FLAGS, command: 'true' });
    expect(await rejection(both)).toMatchObject({ code: 'USAGE' });
  });

  test('listens for signals no longer than it runs', async () => {
    const count = process.listenerCount('SIGUSR2');
    await runTrue({});
    expect(process.listenerCount('SIGUSR2')).toBe(count);
  });

  test('ends a command whose permit was lost before it began', async () => {
    const losing = Object.create(service) as SemaphoreService;
    losing.acquire = async (...all) => {
      const permit = await service.acquire(...all);
      await service.forceRelease('k', permit.id);
      await aborted(permit.signal);
      return permit;
    };
    const argv = ['sleep', '20'];
    expect(await rejection(run(losing, output, 'k', argv, FLAGS))).toMatchObject({ exitCode: 76 });
    expect(String(stderr.read())).toContain('the permit was lost: ending the command');
  });
});

describe('a command that is ended', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'semaphore-child-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  /** Runs a line of the shell that writes a number into the file `$READY`. */
  async function start(line: string): Promise<{ child: Child; said: number }> {
    const READY = join(folder, 'ready');
    const child = new Child(line, { READY });
    const read = async (): Promise<string> => readFile(READY, 'utf8');
    await pollUntil('it began', async () => (await read()).endsWith('\n'));
    return { child, said: Number(await read()) };
  }

  test('has all the time it takes when that is endless', async () => {
    const line = 'trap "sleep 0.2; exit 3" TERM; echo 1 > $READY; sleep 20 & wait';
    const { child } = await start(line);
    child.end(Infinity);
    expect(await child.ended).toBe(3);
  });

  test('has none when it is given none', async () => {
    const { child } = await start('trap "" TERM; echo 1 > $READY; sleep 20');
    child.end(0);
    expect(await child.ended).toBe(128 + 9);
  });

  (process.stdin.isTTY ? test.skip : test)(
    'leaves nothing behind that it has started',
    async () => {
      const { child, said } = await start('(trap "" TERM; exec sleep 20) & echo $! > $READY; wait');
      child.end(5_000);
      await child.ended;
      await pollUntil('it is gone', async () => isGone(said), 10_000);
    },
  );
});

/** Also what has ended and was not fetched by who adopted it. */
async function isGone(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return status.includes(') Z');
}
