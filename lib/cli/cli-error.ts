import { RequestError } from '../client/http-request.js';
import { ALLOWED_KEY } from '../client/remote.calls.js';
import {
  InvalidOptionsError,
  PermitLostError,
  PermitUnavailableError,
  StoreUnavailableError,
  type UnavailableReason,
} from '../semaphore.errors.js';
import { ExitCode } from './exit-codes.js';
import { duration } from './text.js';

/** Ends the program with a message and an exit code. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    message: string,
    readonly exitCode: number = ExitCode.failure,
    readonly code = 'FAILURE',
  ) {
    super(message);
  }
}

/** The command line or the environment makes no sense. */
export class UsageError extends CliError {
  constructor(message: string) {
    super(message, ExitCode.usage, 'USAGE');
  }
}

const WHY_NOT: Record<UnavailableReason, string> = {
  busy: 'all are taken, and --wait is 0.',
  timeout: 'none became free within --wait.',
  'queue-full': 'as many wait already as --max-waiting allows.',
};

/** What to tell the user of an error, and how to end. */
export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof PermitUnavailableError) {
    const { key, reason, retryAfterMs, code } = error;
    const message = `No permit of ${key}: ${WHY_NOT[reason]} Try again in about ${duration(retryAfterMs + 999)}.`;
    return new CliError(message, ExitCode.notAdmitted, code);
  }
  if (error instanceof PermitLostError)
    return new CliError(error.message, ExitCode.lost, error.code);
  if (error instanceof StoreUnavailableError) {
    const message = `The store of the semaphores is not available: ${error.detail}.`;
    const status = error.cause instanceof RequestError ? error.cause.statusCode : undefined;
    const isForbidden = status === 401 || status === 403;
    return new CliError(
      message,
      isForbidden ? ExitCode.forbidden : ExitCode.unavailable,
      error.code,
    );
  }
  if (error instanceof InvalidOptionsError) {
    const isRefused = error.option === 'apiKey';
    const isForbidden = isRefused || error.rule === ALLOWED_KEY;
    return new CliError(
      isRefused ? `The API key must be ${error.rule}.` : error.message,
      isForbidden ? ExitCode.forbidden : ExitCode.usage,
      error.code,
    );
  }
  return new CliError(error instanceof Error ? error.message : String(error));
}
