import { setImmediate } from 'node:timers';
import type { Clock } from '../store/clock.js';
import type { ReleaseOutcome, StoreSession } from '../store/semaphore-store.js';

const RETRY_MS = 1000;

/**
 * What is to be given back to the store: permits that were released, and acquisitions that were given up or whose outcome
 * is unknown. What fails is tried again until it succeeded; the store knows each by its id, so trying again is safe.
 */
export class GiveBackList {
  private readonly failed = new Map<string, () => Promise<unknown>>();
  private readonly cancelling = new Map<string, Promise<void>>();
  private inFlight = 0;
  private isRetryDue = false;
  private isPaused = false;
  private isStopped = false;
  private onEmpty: (() => void) | undefined;

  constructor(
    private readonly session: StoreSession,
    private readonly clock: Clock,
  ) {}

  /** Gives a held permit back. When that fails it goes on in the background. */
  release(
    key: string,
    id: string,
    holdAtLeastMs: number,
    lastToken?: number,
  ): Promise<ReleaseOutcome> {
    if (this.isStopped) return Promise.resolve('expired');
    return this.attempt(
      id,
      () => this.session.release(key, id, holdAtLeastMs, lastToken),
      'released',
    );
  }

  /** Makes certain that the id neither waits nor holds. */
  cancel(key: string, id: string): void {
    // A release that is still to be done does it too, and knows how long the permit stays taken.
    if (this.failed.has(id) || this.isStopped) return;
    const task = (): Promise<void> => this.session.cancel(key, id);
    if (this.isPaused) this.failed.set(id, task);
    else this.takeBack(id, task);
  }

  /** Settles when a cancel of the id that is under way does, or a release that failed before; undefined when there is none. */
  cancellation(id: string): Promise<void> | undefined {
    return this.cancelling.get(id);
  }

  /** Whether a cancel or release of the id has failed, and will be tried again. */
  isDue(id: string): boolean {
    return this.failed.has(id);
  }

  /** The store is away: what fails from now on waits for {@link retry}, and a cancel is not even tried before. */
  pause(): void {
    this.isPaused = true;
  }

  /** Tries again at once what failed so far. */
  retry(): void {
    this.isPaused = false;
    const tasks = [...this.failed];
    this.failed.clear();
    for (const [id, task] of tasks) this.takeBack(id, task);
  }

  /** Resolves when nothing is left to give back, also of what is released in this turn, after `timeoutMs` at the latest. */
  async flush(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.isEmpty) return;
    await new Promise<void>((resolve) => {
      const stopTimer = this.clock.schedule(resolve, timeoutMs);
      this.onEmpty = () => {
        stopTimer();
        resolve();
      };
      this.retry();
    });
  }

  /** Tries nothing again from now on. */
  stop(): void {
    this.isStopped = true;
    this.failed.clear();
  }

  private get isEmpty(): boolean {
    return this.inFlight === 0 && this.failed.size === 0;
  }

  /** Does the task as a {@link cancellation} of the id: who asks under it meanwhile would lose it again when this is repeated. */
  private takeBack(id: string, task: () => Promise<unknown>): void {
    const attempt = this.attempt<unknown>(id, task, undefined).then(() => {
      if (this.cancelling.get(id) === attempt) this.cancelling.delete(id);
    });
    this.cancelling.set(id, attempt);
  }

  private attempt<T>(id: string, task: () => Promise<T>, otherwise: T): Promise<T> {
    this.inFlight++;
    const onFailure = (): T => {
      if (!this.isStopped) this.tryLater(id, task);
      this.landed();
      return otherwise;
    };
    try {
      return task().then(this.succeeded, onFailure);
    } catch {
      return Promise.resolve(onFailure());
    }
  }

  private readonly succeeded = <T>(result: T): T => {
    this.landed();
    return result;
  };

  private landed(): void {
    this.inFlight--;
    if (this.onEmpty !== undefined && this.isEmpty) this.onEmpty();
  }

  private tryLater(id: string, task: () => Promise<unknown>): void {
    this.failed.set(id, task);
    if (this.isRetryDue || this.isPaused) return;
    this.isRetryDue = true;
    this.clock.schedule(() => {
      this.isRetryDue = false;
      if (!this.isPaused) this.retry();
    }, RETRY_MS);
  }
}
