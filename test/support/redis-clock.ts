import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** libfaketime, preloaded into the server itself: the `faketime` command would put a process in between. */
const library = findLibrary();

/** Whether `startRedis({ faketime })` and `setClock()` work on this machine. */
export const canFakeTime = library !== undefined;

/** The environment of a server whose wall clock is shifted by the offset written in `file`. */
export function fakeTimeEnv(file: string): NodeJS.ProcessEnv {
  if (library === undefined) {
    throw new Error(
      'libfaketime is missing: install the package "faketime" (npm run ensure-redis)',
    );
  }
  return {
    // With jemalloc as malloc, libfaketime waits for itself at start: let libc's come first.
    LD_PRELOAD: `${library} libc.so.6`,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}

function findLibrary(): string | undefined {
  const folders = ['/usr/lib', '/usr/lib64', '/usr/local/lib'].filter((folder) =>
    existsSync(folder),
  );
  return folders
    .flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))])
    .map((folder) => join(folder, 'faketime', 'libfaketime.so.1'))
    .find((path) => existsSync(path));
}
