import { rm } from 'node:fs/promises';

const root = new URL('../', import.meta.url);

const generated = [
  'dist',
  'coverage',
  'lib/store/redis/scripts/embedded.ts',
  'lib/dashboard/assets/embedded.ts',
  'lib/dashboard/assets/uplot.js',
  'lib/dashboard/assets/uplot.css',
  'lib/dashboard/assets/uplot-license.txt',
];
for (const path of generated) {
  await rm(new URL(path, root), { recursive: true, force: true });
}
