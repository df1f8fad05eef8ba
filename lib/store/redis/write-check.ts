import type { Clock } from '../clock.js';
import { pause } from '../pause.js';
import { within } from '../within.js';
import type { Connection } from './redis.connection.js';
import { isReadOnly, isReply, silence } from './reply-errors.js';

/** Then a new connection is opened: the address may mean the new master by now, or the replica may have become it. */
const ASK_AGAIN_MS = 100;

/**
 * Once a server has turned a write away because it is a replica, a connection counts when it takes one: otherwise each new one
 * to that server would pass for the end of the outage.
 */
export class WriteCheck {
  private isDue = false;
  private turn = 0;

  /** @param key that nothing is kept at */
  constructor(
    private readonly clock: Clock,
    private readonly timeoutMs: number,
    private readonly key: string,
  ) {}

  /** Takes note of why a connection is given up. */
  note(error: Error): void {
    if (isReadOnly(error)) this.isDue = true;
  }

  /** Calls back at once, or when the connection, which is ready, takes writes; one that does not is closed. */
  passed(connection: Connection, done: () => void): void {
    this.turn++;
    if (this.isDue) void this.ask(connection, done);
    else done();
  }

  private async ask(connection: Connection, done: () => void): Promise<void> {
    const own = this.turn;
    const isCurrent = (): boolean => own === this.turn && connection.status === 'ready';
    const { clock, timeoutMs } = this;
    try {
      await within(clock, timeoutMs, connection.del(this.key), () => silence(timeoutMs));
    } catch (error) {
      if (isReadOnly(error)) await pause(clock, ASK_AGAIN_MS);
      if (isReadOnly(error) || !isReply(error)) {
        if (isCurrent()) connection.disconnect(true);
        return;
      }
    }
    if (!isCurrent()) return;
    this.isDue = false;
    done();
  }
}
