import type { Clock } from '../clock.js';
import { pause } from '../pause.js';
import { within } from '../within.js';
import type { Connection } from './redis.connection.js';
import { isReply, silence } from './reply-errors.js';

interface Listener {
  /** The connection is ready, and in its database. */
  done(): void;
  /** Told each time why it cannot be there; then it is asked for again. */
  refused(error: Error): void;
}

const ASK_AGAIN_MS = 500;

/**
 * Whenever the connection is ready, selects the database that it is for. ioredis does that too, but goes on in database 0
 * when it is refused: there nothing of this semaphore would be known.
 */
export function onSelected(
  connection: Connection,
  clock: Clock,
  timeoutMs: number,
  { done, refused }: Listener,
): void {
  const db = Number(connection.options.db ?? 0);
  let turn = 0;
  const select = async (): Promise<void> => {
    const own = ++turn;
    const isCurrent = (): boolean => own === turn && connection.status === 'ready';
    while (isCurrent()) {
      try {
        await within(clock, timeoutMs, connection.select(db), () => silence(timeoutMs));
        if (isCurrent()) done();
        return;
      } catch (error) {
        if (!isCurrent()) return;
        if (!isReply(error)) {
          connection.disconnect(true);
          return;
        }
        refused(error);
      }
      await pause(clock, ASK_AGAIN_MS);
    }
  };
  const ready = db === 0 ? done : (): void => void select();
  connection.on('ready', ready);
  if (connection.status === 'ready') ready();
}
