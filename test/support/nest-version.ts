import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const manifest = join(import.meta.dirname, '../../node_modules/@nestjs/core/package.json');

/** Of the Nest that the tests run with. */
export const nestMajor = Number.parseInt(
  (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version,
  10,
);
