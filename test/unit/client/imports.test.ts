import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

const IMPORT = /^(?:import|export)\s(?!type\s)[^;]*?from\s+'([^']+)'/gm;

/** What the file needs at run time, directly or through other files of the library. */
function needs(file: URL, seen = new Map<string, Set<string>>()): Map<string, Set<string>> {
  if (seen.has(file.href)) return seen;
  const packages = new Set<string>();
  seen.set(file.href, packages);
  for (const [, from = ''] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    if (from.startsWith('.')) needs(new URL(from.replace(/\.js$/, '.ts'), file), seen);
    else packages.add(from);
  }
  return seen;
}

test('RemoteSemaphoreStore needs nothing but Node', () => {
  const files = needs(new URL('../../../lib/client/index.ts', import.meta.url));
  expect(files.size).toBeGreaterThan(5);
  const packages = [...new Set([...files.values()].flatMap((names) => [...names]))];
  expect(packages.filter((name) => !name.startsWith('node:'))).toEqual([]);
  expect(packages).toContain('node:https');
});
