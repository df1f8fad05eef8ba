import type { Command } from 'commander';
import { constants } from 'node:os';
import type { Permit } from '../../core/permit.js';
import { MAX_PRIORITY } from '../../limits.js';
import type { SemaphoreService } from '../../semaphore.service.js';
import { CliError, UsageError } from '../cli-error.js';
import { Child } from '../child.js';
import { ExitCode, SIGNALLED } from '../exit-codes.js';
import type { Output } from '../output.js';
import { milliseconds, wholeNumber } from '../values.js';

export interface RunFlags {
  permits: number;
  weight: number;
  wait: number;
  lease: number;
  priority: number;
  maxWaiting?: number;
  label?: string;
  killAfter: number;
  /** A line for the shell. */
  command?: string;
}

/** All that would end this process and leave the command alone, without its permit. */
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

export function withRunOptions(command: Command): Command {
  return command
    .optionsGroup('The permit:')
    .option('--permits <n>', 'how many there are in all', wholeNumber(1), 1)
    .option('--weight <n>', 'how many to take', wholeNumber(1), 1)
    .option('--wait <ms>', 'how long to wait for it; 0, or forever', milliseconds(0), 10_000)
    .option('--lease <ms>', 'how long it outlives a crash; it is renewed', milliseconds(1), 30_000)
    .option('--priority <n>', 'higher is served first', wholeNumber(-MAX_PRIORITY, MAX_PRIORITY), 0)
    .option('--max-waiting <n>', 'do not wait behind so many', wholeNumber(0))
    .option('--label <text>', 'shown by inspect')
    .optionsGroup('The command:')
    .option('--command <line>', 'a line for the shell, instead of -- command arguments…')
    .option(
      '--kill-after <ms>',
      'from SIGTERM to SIGKILL when the permit is lost',
      milliseconds(0),
      5000,
    );
}

/** Runs a command while a permit is held. @returns the exit code */
export async function run(
  semaphores: SemaphoreService,
  output: Output,
  key: string,
  argv: readonly string[],
  flags: RunFlags,
): Promise<number> {
  const { command } = flags;
  if ((command === undefined) === (argv.length === 0) || command === '') {
    throw new UsageError(
      'Say what to run: `-- command arguments…`, or --command with a line for the shell.',
    );
  }
  const interrupt = new Interrupt();
  try {
    const permit = await acquire(semaphores, key, flags, interrupt);
    if (permit === undefined) return interrupt.exitCode;
    try {
      return await runUnder(permit, argv, flags, interrupt, output);
    } finally {
      await permit.release();
    }
  } finally {
    interrupt.stop();
  }
}

/** @returns undefined when a signal came first */
async function acquire(
  semaphores: SemaphoreService,
  key: string,
  flags: RunFlags,
  interrupt: Interrupt,
): Promise<Permit | undefined> {
  const { permits, weight, priority, label, maxWaiting } = flags;
  try {
    return await semaphores.acquire(key, {
      permits,
      weight,
      priority,
      waitMs: flags.wait,
      leaseMs: flags.lease,
      signal: interrupt.signal,
      ...(maxWaiting === undefined ? {} : { maxWaiting }),
      ...(label === undefined ? {} : { label }),
    });
  } catch (error) {
    if (interrupt.signal.aborted) return undefined;
    throw error;
  }
}

async function runUnder(
  permit: Permit,
  argv: readonly string[],
  { command, killAfter }: RunFlags,
  interrupt: Interrupt,
  output: Output,
): Promise<number> {
  const child = new Child(command ?? argv, {
    SEMAPHORE_KEY: permit.key,
    SEMAPHORE_PERMIT_ID: permit.id,
    SEMAPHORE_FENCING_TOKEN: String(permit.fencingToken),
  });
  const onLost = (): void => {
    output.note('the permit was lost: ending the command');
    child.end(killAfter);
  };
  interrupt.onSignal = (signal) => child.forward(signal);
  const { signal } = permit;
  signal.addEventListener('abort', onLost, { once: true });
  if (signal.aborted) onLost();
  try {
    const exitCode = await child.ended;
    if (!signal.aborted) return exitCode;
    const { message } = signal.reason as Error;
    throw new CliError(message, ExitCode.lost, 'SEMAPHORE_PERMIT_LOST');
  } finally {
    signal.removeEventListener('abort', onLost);
  }
}

/** The signals that this process gets: first they end the wait, then they are the command's. */
class Interrupt {
  onSignal: ((signal: NodeJS.Signals) => void) | undefined;
  exitCode = 0;
  private readonly controller = new AbortController();

  constructor() {
    for (const name of FORWARDED) process.on(name, this.listener);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  stop(): void {
    for (const name of FORWARDED) process.off(name, this.listener);
  }

  private readonly listener = (name: NodeJS.Signals): void => {
    if (this.onSignal !== undefined) {
      this.onSignal(name);
      return;
    }
    this.exitCode = SIGNALLED + constants.signals[name];
    this.controller.abort(new Error(name));
  };
}
