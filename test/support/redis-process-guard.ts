import { spawn } from 'node:child_process';

export interface ProcessGuard {
  /** The process has ended in good order: nothing to guard any more. */
  dismiss(): void;
}

/**
 * Kills `pid` and deletes `dir` once this process is gone, also after a SIGKILL: the guard is a shell that
 * waits for the end of its standard input, which closes with us. An exit handler would not do, Jest's
 * workers never call one.
 */
export function guardProcess(pid: number, dir: string): ProcessGuard {
  const script = 'read -r line || { kill -9 "$0"; rm -rf "$1"; }';
  const guard = spawn('/bin/sh', ['-c', script, `${pid}`, dir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  guard.stdin.on('error', () => {});
  (guard.stdin as typeof guard.stdin & { unref?(): void }).unref?.();
  return { dismiss: () => void guard.stdin.end('dismissed\n') };
}
