import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import { asError } from '../probe.js';
import { within } from '../within.js';
import type { Connection } from './redis.connection.js';
import { isReply } from './reply-errors.js';

const ASK_AGAIN_MS = 500;

/** Whether a connection has to leave database 0, in which it begins. */
export function isElsewhere({ isCluster, options }: Connection): boolean {
  return isCluster !== true && Number(options.db ?? 0) !== 0;
}

/**
 * Selects the database that the connection is for. ioredis does that too, but goes on in database 0 when it is refused:
 * there nothing of this semaphore would be known.
 *
 * @param onRefusal hears each time why it cannot be; then it is asked for again
 * @returns false when the connection has closed meanwhile
 */
export async function selectDatabase(
  connection: Connection,
  clock: Clock,
  timeoutMs: number,
  onRefusal: (error: Error) => void,
): Promise<boolean> {
  const silent = (): Error =>
    new StoreUnavailableError(`Redis did not answer within ${timeoutMs} ms`);
  while (connection.status === 'ready') {
    try {
      await within(clock, timeoutMs, connection.select(Number(connection.options.db)), silent);
      return true;
    } catch (error) {
      if (!isReply(error)) {
        if (connection.status === 'ready') connection.disconnect(true);
        return false;
      }
      onRefusal(asError(error));
    }
    await new Promise<void>((resolve) => clock.schedule(resolve, ASK_AGAIN_MS));
  }
  return false;
}
