import { detailOf, type StoreUnavailableError } from '../../semaphore.errors.js';
import type { Clock } from '../clock.js';
import type { RedisServers } from './redis.servers.js';
import { linkDownError, reasonOf } from './reply-errors.js';

/** Whether commands can be sent, and who waits for that. */
export class Readiness {
  /** Why they cannot be sent, as far as is known. */
  lastError: Error | undefined;
  isClosed = false;
  /** No connection was made, and none will be. */
  private isHopeless = false;
  private servers: RedisServers | undefined;
  private downSince: number;
  private readonly waiting = new Set<(error?: Error) => void>();

  constructor(
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {
    this.downSince = clock.now();
  }

  get isUp(): boolean {
    return this.servers !== undefined;
  }

  /**
   * The servers, as soon as they take commands.
   * @throws {StoreUnavailableError} at once when they have not for longer than the time limit, or never will, otherwise after `withinMs`
   */
  wait(withinMs: number): RedisServers | Promise<RedisServers> {
    if (this.servers !== undefined) return this.servers;
    if (this.isClosed) return Promise.reject(closedError());
    const downMs = this.clock.now() - this.downSince;
    const isLong = downMs >= this.timeoutMs;
    if (isLong || this.isHopeless) return Promise.reject(this.unavailable(downMs));
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        stop();
        this.waiting.delete(settle);
        if (error === undefined) resolve(this.servers as RedisServers);
        else reject(error);
      };
      const stop = this.clock.schedule(
        () => settle(this.unavailable(this.clock.now() - this.downSince)),
        Math.min(withinMs, this.timeoutMs - downMs),
      );
      this.waiting.add(settle);
    });
  }

  up(servers: RedisServers): void {
    this.servers = servers;
    this.lastError = undefined;
    for (const settle of [...this.waiting]) settle();
  }

  down(): void {
    if (this.servers !== undefined) this.downSince = this.clock.now();
    this.servers = undefined;
  }

  /** Nothing tries again, and so nothing would keep the process alive for those who wait. */
  giveUp(): void {
    this.isHopeless = true;
    const error = this.unavailable(this.clock.now() - this.downSince);
    for (const settle of [...this.waiting]) settle(error);
  }

  close(): void {
    this.isClosed = true;
    this.servers = undefined;
    for (const settle of [...this.waiting]) settle(closedError());
  }

  private unavailable(downMs: number): StoreUnavailableError {
    const reason = reasonOf(this.lastError);
    const why = reason === undefined ? '' : ` (${detailOf(reason)})`;
    return linkDownError(`no connection to Redis for ${Math.round(downMs)} ms${why}`, reason);
  }
}

export function closedError(): StoreUnavailableError {
  return linkDownError('the store is closed');
}
