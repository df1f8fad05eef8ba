import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { PendingAcquire } from './pending-acquire.js';
import type { RedisCalls } from './redis.calls.js';
import type { RedisCommands } from './redis.commands.js';
import type { RedisLink } from './redis.link.js';
import { leaseText } from './script-format.js';

/** The replicas that must have a grant before it counts. */
export class RedisReplicas {
  readonly areAwaited: boolean;

  constructor(
    private readonly link: RedisLink,
    private readonly calls: RedisCalls,
    private readonly commands: RedisCommands,
    private readonly least: number,
    private readonly timeoutMs: number,
  ) {
    this.areAwaited = least > 0;
  }

  /**
   * WAIT counts what this connection wrote: a grant made by another process is written again first.
   * @throws {StoreUnavailableError} too few have it in time, or it lapsed before
   */
  async confirm({ request, state }: PendingAcquire): Promise<void> {
    const { key, id, leaseMs } = request;
    const renewal = { state, text: `N${id} ${leaseText(leaseMs)}` };
    if ((await this.calls.send<number>(renewal)).value === 0) {
      throw new StoreUnavailableError('the grant lapsed before replicas confirmed it', key);
    }
    const slot = this.calls.slotOf(state);
    const count = this.link.wait(slot, this.least, this.timeoutMs);
    const confirmed = await this.commands.inTime(count, slot);
    if (confirmed >= this.least) return;
    throw new StoreUnavailableError(
      `${confirmed} of ${this.least} replicas confirmed the grant within ${this.timeoutMs} ms`,
      key,
    );
  }
}
