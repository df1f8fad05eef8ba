import type { AcquireRequest } from '../semaphore-store.js';
import { leaseText } from './script-format.js';

/** All of an acquire but who asks, as the script takes it. Callers of one semaphore have the same terms again and again. */
export class AcquireTerms {
  private last: AcquireRequest | undefined;
  private lastRoom = 0;
  private text = '';

  of(request: AcquireRequest, room: number): string {
    const { last } = this;
    if (
      last?.permits !== request.permits ||
      last.weight !== request.weight ||
      last.leaseMs !== request.leaseMs ||
      last.priority !== request.priority ||
      this.lastRoom !== room
    ) {
      const { permits, weight, leaseMs, priority } = request;
      this.text = `A${permits},${weight},${leaseText(leaseMs)},${room},${priority} `;
      this.last = request;
      this.lastRoom = room;
    }
    return this.text;
  }
}
