import { StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import { pause } from '../pause.js';
import { TimeLimits } from '../time-limits.js';
import type { RedisCalls } from './redis.calls.js';
import type { Connection } from './redis.connection.js';
import type { RedisKeys } from './redis.keys.js';
import type { RedisLink } from './redis.link.js';
import {
  isLinkDown,
  isReply,
  isTransient,
  NEXT_ATTEMPT_AFTER_MS,
  unavailable,
} from './reply-errors.js';

/** What is asked of Redis otherwise than by operations of the script, each within the time limit. */
export class RedisCommands {
  private readonly limits: TimeLimits;

  constructor(
    private readonly link: RedisLink,
    private readonly calls: RedisCalls,
    private readonly keys: RedisKeys,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {
    this.limits = new TimeLimits(clock);
  }

  /** Runs a script that only reads one semaphore. @throws {StoreUnavailableError} */
  readScript(script: string, state: string, args: readonly (string | number)[]): Promise<unknown> {
    // What was issued before must not be overtaken.
    this.calls.flush();
    const { holders, queue } = this.keys.namesOf(state);
    const run = (connection: Connection): Promise<unknown> =>
      connection.eval(script, 3, state, holders, queue, ...args);
    return this.read(run, this.calls.slotOf(state)).catch((error: StoreUnavailableError) => {
      throw error.of(this.keys.keyOf(state));
    });
  }

  /**
   * What comes of a command that only reads: it is asked again, when it may succeed in time.
   * @throws {StoreUnavailableError}
   */
  async read<T>(ask: (connection: Connection) => Promise<T>, slot?: number): Promise<T> {
    const end = this.clock.now() + this.timeoutMs;
    let notNow: StoreUnavailableError | undefined;
    for (;;) {
      try {
        const { commands } = await this.link.ready(end - this.clock.now());
        return await this.inTime(ask(commands), slot, end, notNow);
      } catch (error) {
        const reason = error as StoreUnavailableError;
        const at = this.clock.now() + NEXT_ATTEMPT_AFTER_MS;
        if (at >= end || !mayPass(reason)) throw reason;
        notNow = isReply(reason.cause) ? reason : undefined;
      }
      await pause(this.clock, NEXT_ATTEMPT_AFTER_MS);
    }
  }

  /**
   * What comes of a command (in Cluster: on the slot's node).
   * @param notNow the server's answer to an attempt before, that it cannot do it now: it does answer, and a late answer is no outage
   * @throws {StoreUnavailableError}
   */
  inTime<T>(
    reply: Promise<T>,
    slot?: number,
    end = this.clock.now() + this.timeoutMs,
    notNow?: StoreUnavailableError,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const tooLate = (): StoreUnavailableError =>
        notNow ?? this.link.noAnswer(this.timeoutMs, slot);
      const limit = this.limits.start(end, () => reject(tooLate()));
      reply
        .then(resolve, (error: unknown) => reject(unavailable(error)))
        .finally(() => this.limits.stop(limit));
    });
  }
}

/** Of a broken connection, or a server that cannot do it now. */
function mayPass(error: StoreUnavailableError): boolean {
  const { cause } = error;
  if (isLinkDown(error) || !(cause instanceof Error)) return false;
  return !isReply(cause) || isTransient(cause);
}
