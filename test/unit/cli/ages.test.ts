import { expect, it } from '@jest/globals';
import { MemorySemaphoreStore, SemaphoreService } from 'nestjs-semaphore';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { PassThrough } from 'node:stream';
import { inspect } from '../../../lib/cli/commands/inspect.js';
import { list } from '../../../lib/cli/commands/list.js';
import { Output } from '../../../lib/cli/output.js';

it.each([
  ['list', (...all: [SemaphoreService, Output]) => list(...all, '*')],
  ['inspect', (...all: [SemaphoreService, Output]) => inspect(...all, 'k')],
])('%s tells ages by the clock of the store', async (_, command) => {
  // Its wall clock shows another year than this machine's.
  const clock = new VirtualClock();
  const store = new MemorySemaphoreStore({ clock });
  const semaphores = new SemaphoreService({ store, log: 'none' });
  await semaphores.acquire('k');
  await clock.advance(5000);
  const stdout = new PassThrough();
  await command(semaphores, new Output({ stdout, stderr: new PassThrough() }, {}, false));
  expect(String(stdout.read())).toMatch(/ 5s( |$)/m);
  await semaphores.close();
});

it('list has all keys in their order', async () => {
  const semaphores = new SemaphoreService({ log: 'none' });
  const keys = Array.from({ length: 120 }, (_, i) => `k${String(119 - i).padStart(3, '0')}`);
  await Promise.all(keys.map((key) => semaphores.acquire(key)));
  const stdout = new PassThrough();
  await list(semaphores, new Output({ stdout, stderr: new PassThrough() }, {}, true), '*');
  const listed = JSON.parse(String(stdout.read())) as { key: string }[];
  expect(listed.map(({ key }) => key)).toEqual(keys.toReversed());
  await semaphores.close();
});
