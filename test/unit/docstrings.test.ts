import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const lib = join(import.meta.dirname, '../../lib');

test('no example of a decorator is a tag for editors, which show it torn apart', async () => {
  const files = await readdir(lib, { recursive: true });
  const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('embedded.ts'));
  const torn = await Promise.all(
    sources.map(async (file) => {
      const lines = (await readFile(join(lib, file), 'utf8')).split('\n');
      const docs = lines.filter((line) => /^\s*\/?\*/.test(line));
      // Editors take what follows a space for a tag, also between fences, unless it is within backticks on its line.
      return docs.filter((line) => /\s@[A-Z]/.test(line.replaceAll(/`[^`]*`/g, '')));
    }),
  );
  expect(sources.length).toBeGreaterThan(100);
  expect(torn.flat()).toEqual([]);
});
