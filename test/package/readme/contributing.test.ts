import { expect, test } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { code, pages, root, table } from './readme.js';

const lib = join(root, 'lib');

test('the map of the code has all folders, and entries that are there', () => {
  const rows = table('## Where things are');
  const named = rows.map((row) =>
    [...(row['folder in `lib`'] ?? '').matchAll(/`([^`]+)`/g)].map(([, folder = '']) => folder),
  );
  const folders = readdirSync(lib, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(named.flat()).toEqual(expect.arrayContaining(folders.map(({ name }) => name)));
  for (const [index, row] of rows.entries()) {
    const [folder = ''] = named[index] ?? [];
    const path = join(lib, folder, code(row['entry']) ?? '');
    expect([path, existsSync(path)]).toEqual([path, true]);
  }
});

test('the way of an acquisition names what there is', () => {
  const { text = '' } = pages.find(({ path }) => path === 'docs/contributing.md') ?? {};
  const [, way = ''] = /## The way of an acquisition\n(.*?)\n## /s.exec(text) ?? [];
  const named = new Set([...way.matchAll(/`([A-Z]\w+)/g)].map(([, name = '']) => name));
  const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(lib, name), 'utf8'));

  expect(named.size).toBeGreaterThan(10);
  for (const name of named) {
    expect(sources.some((source) => new RegExp(`export class ${name}\\b`).test(source))).toBe(true);
  }
});
