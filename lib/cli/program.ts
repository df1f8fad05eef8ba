import { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { toCliError } from './cli-error.js';
import { release, setPermits } from './commands/change.js';
import { inspect } from './commands/inspect.js';
import { list } from './commands/list.js';
import { run, type RunFlags, withRunOptions } from './commands/run.js';
import { serve, withServeOptions, type ServeFlags } from './commands/serve.js';
import { type ConnectionFlags, openService, withConnection } from './connection.js';
import { ExitCode } from './exit-codes.js';
import type { Environment } from './environment.js';
import { Output, type Streams } from './output.js';
import type { SemaphoreService } from '../semaphore.service.js';
import { permitsOrNone } from './values.js';

interface CommonFlags extends ConnectionFlags {
  json?: boolean;
}

/** What was lost need not be given back: whoever lost it does not wait for a store that may be gone. */
const CLOSE_AFTER_LOSS_MS = 500;

const EXIT_CODES = `
Exit codes:
  0    done
  1    it could not be done; release: nobody holds or waits under this id
  2    wrong usage
  69   Redis or the server cannot be reached
  75   run: no permit in time, or the queue is full
  76   run: the permit was lost, the command was ended
  77   the API key may not do that
  126  run: the command cannot be run
  127  run: the command was not found
  128+n  a signal came, or ended the command
run passes the exit code of the command on.

Options go before variables of the environment, and these before the file .env
in the current folder.`;

/** @param errors told what is wrong with the command line @param exit told how the process is to end */
export function createProgram(
  env: Environment,
  streams: Streams,
  version: string,
  errors: Output,
  exit: (code: number) => void,
): Command {
  const program = new Command('nestjs-semaphore')
    .description('Semaphores over processes and machines, from the shell.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(text),
      outputError: (text) => errors.usage(text),
    })
    .configureHelp({ helpWidth: 80 })
    .addHelpText('after', EXIT_CODES);

  const outputOf = (flags: CommonFlags): Output =>
    new Output(streams, env.variables, flags.json === true);

  async function withService<T>(
    flags: CommonFlags,
    task: (semaphores: SemaphoreService, output: Output) => Promise<T>,
  ): Promise<T> {
    const semaphores = openService(flags, env);
    let closeWithinMs: number | undefined;
    try {
      return await task(semaphores, outputOf(flags));
    } catch (error) {
      if (toCliError(error).exitCode === ExitCode.lost) closeWithinMs = CLOSE_AFTER_LOSS_MS;
      throw error;
    } finally {
      const closed = semaphores.close();
      await (closeWithinMs === undefined ? closed : Promise.race([closed, sleep(closeWithinMs)]));
    }
  }

  withServeOptions(program.command('serve'))
    .summary('run a lock server over HTTP')
    .description('Run a lock server over HTTP.')
    .option('--json', 'write JSON')
    .action(async (flags: ServeFlags & CommonFlags) => serve(flags, env, outputOf(flags)));

  withRunOptions(withClientOptions(program.command('run <key> [command...]')))
    .usage('[options] <key> -- <command> [argument...]')
    .summary('run a command while a permit is held')
    .description(
      'Run a command while a permit is held: run reports -- make-report --all. The command finds SEMAPHORE_KEY, ' +
        'SEMAPHORE_PERMIT_ID and SEMAPHORE_FENCING_TOKEN in its environment. When the permit is lost it is ended.',
    )
    .action(async (key: string, argv: string[], flags: RunFlags & CommonFlags) => {
      exit(await withService(flags, (service, output) => run(service, output, key, argv, flags)));
    });

  withClientOptions(program.command('list [pattern]'))
    .summary('show the semaphores in use')
    .description('Show the semaphores in use. The pattern is a glob: *, ? and [ab].')
    .action((pattern: string | undefined, flags: CommonFlags) =>
      withService(flags, (service, output) => list(service, output, pattern ?? '*')),
    );

  withClientOptions(program.command('inspect <key>'))
    .summary('show who holds a semaphore and who waits')
    .description('Show who holds a semaphore and who waits for it.')
    .action((key: string, flags: CommonFlags) =>
      withService(flags, (service, output) => inspect(service, output, key)),
    );

  withClientOptions(program.command('release <key> <id>'))
    .summary('take a permit away by force')
    .description('Take a permit from its holder by force, or send a waiter away.')
    .action((key: string, id: string, flags: CommonFlags) =>
      withService(flags, (service, output) => release(service, output, key, id)),
    );

  const setPermitsCommand = program.command('set-permits').argument('<key>');
  setPermitsCommand.argument(
    '<n>',
    'the limit, or none to let callers decide again',
    permitsOrNone,
  );
  withClientOptions(setPermitsCommand)
    .summary('set the limit of a semaphore')
    .description('Set the limit of a semaphore, whatever its callers say.')
    .action((key: string, permits: number | null, flags: CommonFlags) =>
      withService(flags, (service, output) => setPermits(service, output, key, permits)),
    );

  return program;
}

function withClientOptions(command: Command): Command {
  return withConnection(command.option('--json', 'write JSON'));
}
