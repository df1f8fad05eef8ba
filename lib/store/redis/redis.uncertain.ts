import type { Clock } from '../clock.js';
import type { RedisCalls } from './redis.calls.js';
import type { PendingAcquire } from './pending-acquire.js';
import { ignore } from './script-format.js';

/**
 * Acquisitions whose call got no answer. A copy of it may still lie in a buffer and run after its cancel; the server
 * refuses it when it is older than the time limit, so one more cancel after that makes certain that nothing is left.
 */
export class RedisUncertain {
  private readonly byId = new Map<string, PendingAcquire>();
  private isClosed = false;

  constructor(
    private readonly calls: RedisCalls,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {}

  get(id: string): PendingAcquire | undefined {
    return this.byId.get(id);
  }

  add(pending: PendingAcquire): void {
    if (this.byId.has(pending.request.id)) return;
    this.byId.set(pending.request.id, pending);
    this.cancelLater(pending);
  }

  /** It was given up or released, which a lost copy of one of its calls may undo. */
  addDoubted(pending: PendingAcquire): void {
    if (pending.doubtedUntil !== 0 && pending.doubtedUntil > this.clock.now()) this.add(pending);
  }

  /** Makes certain that it neither waits nor holds. */
  cancel(pending: PendingAcquire): void {
    const { state, member, request } = pending;
    this.byId.set(request.id, pending);
    this.calls.send({ state, text: `C${request.id} ${member}` }, ignore).then(
      () => this.byId.delete(request.id),
      () => this.cancelLater(pending),
    );
  }

  close(): void {
    this.isClosed = true;
    this.byId.clear();
  }

  private cancelLater(pending: PendingAcquire): void {
    this.clock.schedule(() => {
      if (!this.isClosed) this.cancel(pending);
    }, this.timeoutMs);
  }
}
