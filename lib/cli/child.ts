import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { CliError } from './cli-error.js';
import { ExitCode, SIGNALLED } from './exit-codes.js';

/**
 * A command that runs with this process's streams. Without a terminal it has a process group of its own, so that signals
 * reach what it starts too; at a terminal it must stay in ours to be able to read, and Ctrl-C and Ctrl-\ reach it without
 * our help.
 */
export class Child {
  /** Its exit code, or 128 and the number of the signal that ended it. */
  readonly ended: Promise<number>;
  private readonly isGroup = process.stdin.isTTY !== true && process.platform !== 'win32';
  private readonly child: ChildProcess;
  private isEnding = false;
  private killTimer: NodeJS.Timeout | undefined;

  /** @param command a line for the shell, or a program with its arguments */
  constructor(command: string | readonly string[], variables: Record<string, string>) {
    const isLine = typeof command === 'string';
    const [program = '', ...args] = isLine ? [command] : command;
    try {
      this.child = spawn(program, args, {
        stdio: 'inherit',
        shell: isLine,
        detached: this.isGroup,
        env: { ...process.env, ...variables },
      });
    } catch (error) {
      // Some failures are told by an event, others, as of a path through a file, at once.
      throw startError(program, error as NodeJS.ErrnoException);
    }
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', (error) => reject(startError(program, error)));
      this.child.once('exit', (code, signal) => {
        clearTimeout(this.killTimer);
        // What it started has had its time too.
        if (this.isEnding && this.isGroup) this.kill('SIGKILL');
        resolve(signal === null ? (code ?? 0) : SIGNALLED + constants.signals[signal]);
      });
    });
  }

  /** Passes a signal on that this process got. */
  forward(signal: NodeJS.Signals): void {
    const isTold = (signal === 'SIGINT' || signal === 'SIGQUIT') && !this.isGroup;
    if (!isTold) this.kill(signal);
  }

  /** SIGTERM, and SIGKILL when that does not help. */
  end(killAfterMs: number): void {
    this.isEnding = true;
    this.kill('SIGTERM');
    if (killAfterMs !== Infinity) {
      this.killTimer = setTimeout(() => this.kill('SIGKILL'), killAfterMs);
    }
  }

  private kill(signal: NodeJS.Signals): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(this.isGroup ? -pid : pid, signal);
    } catch {
      // It has ended.
    }
  }
}

function startError(program: string, { code, message }: NodeJS.ErrnoException): CliError {
  return code === 'ENOENT' || code === 'ENOTDIR'
    ? new CliError(`${program}: command not found`, ExitCode.notFound, 'NOT_FOUND')
    : new CliError(
        `${program} cannot be run: ${message}`,
        ExitCode.notExecutable,
        'NOT_EXECUTABLE',
      );
}
