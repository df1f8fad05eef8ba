import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { PassThrough } from 'node:stream';
import { release, setPermits } from '../../../lib/cli/commands/change.js';
import { inspect } from '../../../lib/cli/commands/inspect.js';
import { list } from '../../../lib/cli/commands/list.js';
import { Output } from '../../../lib/cli/output.js';

describe('results for people', () => {
  const clock = new VirtualClock();
  let service: SemaphoreService;
  let stdout: PassThrough & { columns?: number };
  let output: Output;

  beforeEach(() => {
    service = new SemaphoreService({ store: new MemorySemaphoreStore({ clock }), log: 'none' });
    stdout = new PassThrough();
    output = new Output({ stdout, stderr: new PassThrough() }, {}, false);
  });

  afterEach(() => service.close());

  const written = (): string => String(stdout.read());

  test('list: the age of the oldest permit, and none where nobody holds one', async () => {
    await list(service, output, '*');
    expect(written()).toBe('No semaphore is in use.\n');
    await service.acquire('k', { permits: 2, leaseMs: Infinity });
    await clock.advance(60_000);
    await service.acquire('k', { permits: 2, leaseMs: Infinity });
    service.list = async function* () {
      yield* ['k', 'freed meanwhile'];
    };
    await list(service, output, '*');
    const [, ...rows] = written().trimEnd().split('\n');
    expect(rows.map((row) => row.split(/  +/))).toEqual([
      ['freed meanwhile', '0/0', '0', '-'],
      ['k', '2/2', '0', '1m'],
    ]);
  });

  test('inspect: what is left of a lease, and the beginning of a name that has no room', async () => {
    await service.acquire('a name of some length', { leaseMs: 30_000, renew: false });
    await clock.advance(10_000);
    stdout.columns = 20;
    await inspect(service, output, 'a name of some length');
    const lines = written();
    expect(lines).toMatch(/^a name …: 1 of 1 permit held, 0 waiting\n/);
    expect(lines).toMatch(/ 10s +20s( |$)/m);
  });

  test('changes: names as text', async () => {
    const key = 'a\u001b[31m';
    const { id } = await service.acquire(key);
    await setPermits(service, output, key, 1);
    await setPermits(service, output, key, null);
    await release(service, output, key, id);
    expect(written()).toBe(
      'a\\x1b[31m: 1 permit, whatever callers say.\n' +
        'a\\x1b[31m: the limit is what callers say.\n' +
        `Released ${id} of a\\x1b[31m.\n`,
    );
  });
});
