import type { ServerResponse } from 'node:http';
import { ChurningMap } from '../churning-map.js';
import type { UnkeptGrant } from '../core/unkept-permit.js';
import { isSent } from '../http/hang-ups.js';
import type { PermitsById } from '../core/permits-by-id.js';
import { SemaphoreClosedError } from '../semaphore.errors.js';
import type { ResolvedOptions } from '../resolve-options.js';

/** What a request wants. Requests with the same id want the same permit. */
interface WaitWish {
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
  /** Of a wait that is kept although no request waits. */
  leaveQuota: (() => void) | undefined;

  constructor(
    readonly wish: WaitWish,
    permits: PermitsById,
  ) {
    const { key, id, options } = wish;
    this.granted = permits.acquire(key, id, options);
  }
}

/** A request's part in a {@link Wait}. */
export class Attendance {
  /** Why the request is answered without a permit. */
  private refusal: 'postponed' | 'abandoned' | undefined;
  private isOver = false;

  constructor(
    private readonly wait: Wait,
    private readonly giveUp: () => void,
  ) {
    wait.attached++;
  }

  get granted(): Promise<UnkeptGrant> {
    return this.wait.granted;
  }

  /** @returns whether this is the first request that answers with the permit */
  answer(): boolean {
    if (this.isOver || this.wait.isAnswered) return false;
    this.wait.isAnswered = true;
    return true;
  }

  /** The request is answered without a permit, and asked again soon: its place is kept. */
  postpone(): void {
    this.refusal = 'postponed';
  }

  /** Ends the wait of all, and takes the permit back when it is granted already. */
  abandon(): void {
    this.refusal = 'abandoned';
    this.giveUp();
  }

  get isPostponed(): boolean {
    return this.refusal === 'postponed';
  }

  /** The response is closed. @param isSent all of it has reached the client's machine */
  end(isSent: boolean): void {
    this.isOver = true;
    this.wait.attached--;
    if (isSent && this.refusal === undefined) this.wait.isDelivered = true;
  }
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
   * @param enterQuota counts one more that waits, and returns what ends that
   * @throws {HttpProblem} what `enterQuota` throws
   */
  attend(wish: WaitWish, response: ServerResponse, enterQuota: () => () => void): Attendance {
    if (this.isClosed) throw new SemaphoreClosedError(wish.key);
    const kept = this.byId.get(wish.id);
    const leaveQuota = kept?.leaveQuota ?? enterQuota();
    const wait = kept ?? this.begin(wish);
    wait.leaveQuota = undefined;
    clearTimeout(wait.graceTimer);
    const attendance = new Attendance(wait, () => this.permits.giveUp(wish.id));
    response.once('close', () => {
      attendance.end(isSent(response));
      const isLast = wait.attached === 0;
      if (isLast && attendance.isPostponed && this.isCurrent(wait)) this.keep(wait, leaveQuota);
      else {
        leaveQuota();
        if (isLast) this.leave(wait);
      }
    });
    return attendance;
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

  private keep(wait: Wait, leaveQuota: () => void): void {
    wait.leaveQuota = leaveQuota;
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
    const isCurrent = this.isCurrent(wait);
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
    wait.leaveQuota?.();
    if (this.isCurrent(wait)) this.byId.delete(wait.wish.id);
  }

  /** What was refused is forgotten: another wait may have its id by now. */
  private isCurrent(wait: Wait): boolean {
    return this.byId.get(wait.wish.id) === wait;
  }
}
