import { readFile, rename, writeFile } from 'node:fs/promises';

/**
 * Leaves a file alone that says the same already. The rename makes the step atomic: a test or a compiler that runs
 * meanwhile never reads half a file.
 */
export async function writeIfChanged(file, text) {
  if ((await readFile(file, 'utf8').catch(() => undefined)) === text) return;
  const draft = new URL(`${file}.${process.pid}.tmp`);
  await writeFile(draft, text);
  await rename(draft, file);
}
