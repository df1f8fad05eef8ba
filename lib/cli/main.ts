#!/usr/bin/env node
import 'reflect-metadata';
import { CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { toCliError } from './cli-error.js';
import { Environment } from './environment.js';
import { ExitCode } from './exit-codes.js';
import { Output } from './output.js';
import { createProgram } from './program.js';

/** Nothing of the library is sure to keep a process alive; this program is to live until it has finished. */
const alive = setInterval(() => undefined, 2 ** 30);

const streams = { stdout: process.stdout, stderr: process.stderr };

function versionOfPackage(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** Without those of the command that `run` runs. */
function ownArguments(): string[] {
  const end = process.argv.indexOf('--');
  return end === -1 ? process.argv : process.argv.slice(0, end);
}

// `nestjs-semaphore list | head` ends when head has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? ExitCode.ok : ExitCode.failure);
});

// Nobody reads the notes: the command goes on, and its permit is to be given back.
process.stderr.on('error', () => undefined);

const errors = new Output(streams, process.env, ownArguments().includes('--json'));

try {
  const env = new Environment(process.env, process.cwd());
  const program = createProgram(env, streams, versionOfPackage(), errors, (code) => {
    process.exitCode = code;
  });
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // It has said what is wrong.
    process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  } else {
    const cliError = toCliError(error);
    errors.error(cliError);
    process.exitCode = cliError.exitCode;
  }
} finally {
  clearInterval(alive);
  // Who lost a permit has not waited for a store that may be gone: what still tries to reach it would go on.
  if (process.exitCode === ExitCode.lost) process.stderr.write('', () => process.exit());
}
