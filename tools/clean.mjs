import { rm } from 'node:fs/promises';

const root = new URL('../', import.meta.url);

for (const path of ['dist', 'coverage', 'lib/store/redis/scripts/embedded.ts']) {
  await rm(new URL(path, root), { recursive: true, force: true });
}
