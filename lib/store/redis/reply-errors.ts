import { detailOf, StoreUnavailableError } from '../../semaphore.errors.js';

/** What may succeed is tried again after this time. */
export const NEXT_ATTEMPT_AFTER_MS = 25;

/** Answers of a server that cannot do it now, but did nothing. */
const TRANSIENT = /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|READONLY|NOREPLICAS|BUSY |UNBLOCKED)/;

export function unavailable(cause: unknown): StoreUnavailableError {
  if (cause instanceof StoreUnavailableError) return cause;
  return new StoreUnavailableError(detailOf(cause), undefined, withoutCommand(cause));
}

/**
 * The error of ioredis, with the command that was refused left out of logs, which show what is enumerable: its arguments may be
 * a password.
 */
function withoutCommand<E>(error: E): E {
  if (!(error instanceof Error)) return error;
  if ('command' in error) Object.defineProperty(error, 'command', { enumerable: false });
  return error;
}

/** Why there is no connection, to be told: of a Cluster what the node said that was asked last. */
export function reasonOf<E>(error: E): E | Error {
  const ofNode = error instanceof Error && 'lastNodeError' in error && error.lastNodeError;
  return withoutCommand(ofNode instanceof Error ? ofNode : error);
}

const linkDown = new WeakSet<Error>();

/** There is no connection: what was to be sent was not. */
export function linkDownError(detail: string, cause?: Error): StoreUnavailableError {
  const error = new StoreUnavailableError(detail, undefined, cause);
  linkDown.add(error);
  return error;
}

/** Whether it is a {@link linkDownError}. */
export function isLinkDown(error: Error): boolean {
  return linkDown.has(error);
}

export function silence(withinMs: number): StoreUnavailableError {
  return new StoreUnavailableError(`Redis did not answer within ${Math.round(withinMs)} ms`);
}

/**
 * How Redis tells what a script was refused that it has caught and thrown again: `ERR READONLY …`; Redis 6 always:
 * `ERR Error running script (call to f_…): @user_script:9: @user_script: 9: -READONLY …`
 */
const OF_A_SCRIPT = /^ERR (Error running script \(.*?\): )?(@user_script: ?\d+: )*-?(?=[A-Z]+ )/;

/** An error of a server, from its code on. */
function textOf({ message }: Error): string {
  return message.replace(OF_A_SCRIPT, '');
}

/** What errors of a server begin with. */
export function codeOf(error: Error): string {
  return textOf(error).split(' ', 1)[0] as string;
}

/** Redis answered, with an error: as opposed to a broken connection. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** The server may do it later. */
export function isTransient(error: Error): boolean {
  return TRANSIENT.test(textOf(error));
}

/** The server is a replica, and takes no writes. */
export function isReadOnly(error: unknown): boolean {
  return isReply(error) && codeOf(error) === 'READONLY';
}
