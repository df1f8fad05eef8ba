import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Environment } from '../../../lib/cli/environment.js';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semaphore-env-'));
  file = join(folder, '.env');
});

afterEach(() => rm(folder, { recursive: true }));

test('a variable that is empty is none', async () => {
  await writeFile(file, 'A=file\nB=');
  const env = new Environment({ A: '', C: 'own' }, folder);
  expect(['A', 'B', 'C'].map((name) => env.get(name))).toEqual(['file', undefined, 'own']);
});

test('there may be no file, or a folder of its name', async () => {
  expect(new Environment({}, folder).get('A')).toBeUndefined();
  await mkdir(file);
  expect(new Environment({}, folder).get('A')).toBeUndefined();
});

test('a file that cannot be read is told', async () => {
  await symlink(file, file);
  expect(() => new Environment({}, folder)).toThrow('.env cannot be read: ELOOP');
});
