import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { PendingAcquire } from './pending-acquire.js';
import type { RedisCalls } from './redis.calls.js';
import type { RedisCommands } from './redis.commands.js';
import type { RedisLink } from './redis.link.js';
import type { RedisSessionOptions } from './redis.options.js';
import { leaseText } from './script-format.js';

/** Of the time limit of a call. WAIT holds up its connection, and one may follow another: that must not pass for a dead connection. */
const MOST_OF_TIMEOUT = 1 / 3;

/** The replicas that must have a grant before it counts. */
export class RedisReplicas {
  readonly areAwaited: boolean;
  private readonly least: number;
  private readonly timeoutMs: number;

  constructor(
    private readonly link: RedisLink,
    private readonly calls: RedisCalls,
    private readonly commands: RedisCommands,
    { minReplicas, replicaTimeoutMs, storeTimeoutMs }: RedisSessionOptions,
  ) {
    this.areAwaited = minReplicas > 0;
    this.least = minReplicas;
    // Redis takes whole milliseconds, and 0 for no limit.
    this.timeoutMs = Math.ceil(Math.min(replicaTimeoutMs, storeTimeoutMs * MOST_OF_TIMEOUT));
  }

  /**
   * WAIT counts what this connection wrote: a grant made by another process is written again first.
   * @throws {StoreUnavailableError} too few have it in time, or it lapsed before
   */
  async confirm({ request, state }: PendingAcquire): Promise<void> {
    const { key, id, leaseMs } = request;
    const renewal = { state, text: `N${id} ${leaseText(leaseMs)}` };
    if (!(await this.calls.send(renewal, (expiry: number) => expiry !== 0))) {
      throw new StoreUnavailableError('the grant lapsed before replicas confirmed it', key);
    }
    const slot = this.calls.slotOf(state);
    const count = this.link.countReplicas(slot, this.least, this.timeoutMs);
    const confirmed = await this.commands.inTime(count, slot);
    if (confirmed >= this.least) return;
    throw new StoreUnavailableError(
      `${confirmed} of ${this.least} replicas confirmed the grant within ${this.timeoutMs} ms`,
      key,
    );
  }
}
