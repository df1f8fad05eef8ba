import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { UsageError } from './cli-error.js';

/** The variables of the environment, and those of the file `.env`; an empty one is none. */
export class Environment {
  /** The stronger first. */
  readonly levels: readonly NodeJS.ProcessEnv[];

  constructor(
    readonly variables: NodeJS.ProcessEnv,
    folder: string,
  ) {
    this.levels = [variables, readEnvFile(join(folder, '.env'))];
  }

  get(name: string): string | undefined {
    for (const level of this.levels) {
      if (level[name]) return level[name];
    }
    return undefined;
  }
}

function readEnvFile(file: string): NodeJS.ProcessEnv {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EISDIR') return {};
    throw new UsageError(`${file} cannot be read: ${message}`);
  }
  // As some editors begin a file.
  return parseEnv(text.replace(/^\uFEFF/, ''));
}
