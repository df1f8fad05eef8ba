import type { ServerResponse } from 'node:http';
import { ChurningMap } from '../churning-map.js';
import type { UnkeptGrant } from '../core/unkept-permit.js';
import { isSent } from '../http/http-handler.js';
import type { PermitsById } from '../core/permits-by-id.js';
import { SemaphoreClosedError } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';

/** What a request wants. Requests with the same id want the same permit. */
export interface WaitWish {
  key: string;
  id: string;
  options: ResolvedOptions;
  /** It may be asked for at other servers too. */
  isShared: boolean;
}

/** One acquisition, and the requests that wait for its answer. */
class Wait {
  readonly granted: Promise<UnkeptGrant>;
  /** Requests that are not answered yet. */
  attached = 0;
  isAnswered = false;
  isDelivered = false;
  graceTimer: NodeJS.Timeout | undefined;
  /** Leaves the quota; of a wait that is kept although no request waits. */
  leave: (() => void) | undefined;

  constructor(
    readonly wish: WaitWish,
    permits: PermitsById,
  ) {
    const { key, id, options } = wish;
    this.granted = permits.acquire(key, id, options);
  }
}

/** A request's part in a {@link Wait}. */
export interface Attendance {
  granted: Promise<UnkeptGrant>;
  /** @returns whether this is the first request that answers with the permit */
  answer(): boolean;
  /** The request is answered without a permit, and asked again soon: its place is kept. */
  postpone(): void;
  /** Ends the wait of all, and takes the permit back when it is granted already. */
  abandon(): void;
}

/**
 * The acquisitions that requests wait for. What nobody waits for any more leaves the queue, and a permit that reached
 * nobody is given back.
 */
export class PermitWaits {
  private readonly byId = new ChurningMap<string, Wait>();
  private isClosed = false;

  constructor(
    private readonly permits: PermitsById,
    private readonly graceMs: number,
  ) {}

  /**
   * @param enter counts one more that waits, and returns what ends that
   * @throws {HttpProblem} what `enter` throws
   */
  attend(wish: WaitWish, response: ServerResponse, enter: () => () => void): Attendance {
    if (this.isClosed) throw new SemaphoreClosedError(wish.key);
    const kept = this.byId.get(wish.id);
    const leave = kept?.leave ?? enter();
    const wait = kept ?? this.begin(wish);
    wait.leave = undefined;
    clearTimeout(wait.graceTimer);
    wait.attached++;
    let isPostponed = false;
    let isAbandoned = false;
    let isGone = false;
    response.once('close', () => {
      isGone = true;
      wait.attached--;
      if (isSent(response) && !isPostponed && !isAbandoned) wait.isDelivered = true;
      const isLast = wait.attached === 0;
      if (isLast && isPostponed && this.byId.get(wish.id) === wait) {
        this.keep(wait, leave);
        return;
      }
      leave();
      if (isLast) this.leave(wait);
    });
    return {
      granted: wait.granted,
      answer: () => {
        const isFirst = !isGone && !wait.isAnswered;
        wait.isAnswered ||= !isGone;
        return isFirst;
      },
      postpone: () => {
        isPostponed = true;
      },
      abandon: () => {
        isAbandoned = true;
        this.permits.giveUp(wish.id);
      },
    };
  }

  /** Sends everybody away. */
  close(): void {
    this.isClosed = true;
    for (const id of this.byId.keys()) this.permits.giveUp(id, 'closed');
  }

  private begin(wish: WaitWish): Wait {
    const wait = new Wait(wish, this.permits);
    this.byId.set(wish.id, wait);
    // What was refused may be asked for anew at once.
    wait.granted.catch(() => this.forget(wait));
    return wait;
  }

  private keep(wait: Wait, leave: () => void): void {
    wait.leave = leave;
    wait.graceTimer = setTimeout(() => this.end(wait), this.graceMs);
    wait.graceTimer.unref();
  }

  /** Nobody waits for it any more. What the store does for it now may be another server's already. */
  private leave(wait: Wait): void {
    const answered = wait.wish.isShared ? this.permits.answered(wait.wish.id) : undefined;
    if (answered === undefined) this.end(wait);
    else {
      void answered.then(() => {
        if (wait.attached === 0) this.end(wait);
      });
    }
  }

  private end(wait: Wait): void {
    const { granted, isDelivered, wish } = wait;
    // What was refused is forgotten: another wait may have its id by now.
    const isCurrent = this.byId.get(wish.id) === wait;
    this.forget(wait);
    if (isDelivered || !isCurrent) return;
    this.permits.giveUp(wish.id);
    granted.then(
      // A permit that was held before it was asked for now has reached somebody then.
      ({ again }) => again || this.permits.takeBack(wish.key, wish.id),
      () => undefined,
    );
  }

  private forget(wait: Wait): void {
    clearTimeout(wait.graceTimer);
    wait.leave?.();
    if (this.byId.get(wait.wish.id) === wait) this.byId.delete(wait.wish.id);
  }
}
