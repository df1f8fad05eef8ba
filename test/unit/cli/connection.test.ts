import { expect, test } from '@jest/globals';
import { tmpdir } from 'node:os';
import { openService } from '../../../lib/cli/connection.js';
import { Environment } from '../../../lib/cli/environment.js';

const open = (flags: object, variables: NodeJS.ProcessEnv = {}) =>
  openService(flags, new Environment(variables, tmpdir()));

test('a URL that is none is told as that', () => {
  expect(() => open({ url: 'nonsense' })).toThrow(
    expect.objectContaining({ code: 'SEMAPHORE_INVALID_OPTIONS', option: 'url' }),
  );
});

test('a server goes before Redis where both are named', () => {
  const both = { SEMAPHORE_URL: 'nonsense', REDIS_URL: 'redis://127.0.0.1:1' };
  expect(() => open({}, both)).toThrow(expect.objectContaining({ option: 'url' }));
});

test('an empty name of a server leaves Redis', async () => {
  const semaphores = open({}, { SEMAPHORE_URL: '', REDIS_URL: 'redis://127.0.0.1:1' });
  await semaphores.close();
});
