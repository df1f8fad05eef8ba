import type { Clock } from '../clock.js';
import type { RedisCalls } from './redis.calls.js';
import type { Waiting } from './redis.waiting.js';

/**
 * Acquisitions whose call got no answer. A copy of it may still lie in a buffer and run after its cancel; the server
 * refuses it when it is older than the time limit, so one more cancel after that makes certain that nothing is left.
 */
export class RedisUncertain {
  private readonly byId = new Map<string, Waiting>();
  private isClosed = false;

  constructor(
    private readonly calls: RedisCalls,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {}

  get(id: string): Waiting | undefined {
    return this.byId.get(id);
  }

  add(waiting: Waiting): void {
    if (this.byId.has(waiting.request.id)) return;
    this.byId.set(waiting.request.id, waiting);
    this.cancelLater(waiting);
  }

  /** Makes certain that it neither waits nor holds. */
  cancel(waiting: Waiting): void {
    const { state, member, request } = waiting;
    this.byId.set(request.id, waiting);
    this.calls.send({ state, text: `C${request.id} ${member}` }).then(
      () => this.byId.delete(request.id),
      () => this.cancelLater(waiting),
    );
  }

  close(): void {
    this.isClosed = true;
    this.byId.clear();
  }

  private cancelLater(waiting: Waiting): void {
    this.clock.schedule(() => {
      if (!this.isClosed) this.cancel(waiting);
    }, this.timeoutMs);
  }
}
