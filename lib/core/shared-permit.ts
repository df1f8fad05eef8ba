import { AcquireAbortedError } from '../semaphore.errors.js';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import { CancelSource } from '../cancel/cancel-source.js';
import { onAbort } from '../cancel/on-abort.js';
import { OwnPermit } from './own-permit.js';
import type { Permit } from './permit.js';

const ignore = (): void => undefined;

/**
 * One acquisition, and the permit that comes of it, for everybody who asks for its key. The wait is given up when all
 * of them have given up: the signal of one does not end it for the others.
 */
export class SharedPermit {
  private readonly abandoned = new CancelSource();
  private acquiring: Promise<Permit> | undefined;
  private permit: Permit | undefined;
  private hasFailed = false;
  private waiting = 0;

  /** @param source what is held already, or what acquires it */
  constructor(
    private readonly key: string,
    source: Permit | ((signal: CancelSignal) => Promise<Permit>),
  ) {
    if (typeof source !== 'function') {
      this.permit = source;
      return;
    }
    this.acquiring = source(this.abandoned);
    this.acquiring.then(
      (permit) => {
        this.permit = permit;
        // The last one gave up in the moment in which it was granted: who asked since then has another one.
        if (this.waiting === 0) void permit.release();
      },
      () => (this.hasFailed = true),
    );
  }

  /** The permit, while it is held. */
  get held(): Permit | undefined {
    return this.permit?.isHeld === true ? this.permit : undefined;
  }

  /** Whether asking again would bring nothing new: it is held, or may still be granted. */
  get isUsable(): boolean {
    if (this.permit !== undefined) return this.permit.isHeld;
    return !this.hasFailed && !this.abandoned.aborted;
  }

  /** @param signal ends the wait of this caller */
  join(signal: CancelSignal | undefined): Promise<Permit> {
    this.waiting++;
    const permit = signal === undefined ? this.acquired : this.joinUntil(signal);
    // Who does not wait for it is not told, and must not end the process, when the scope ends before.
    permit.catch(ignore);
    return permit;
  }

  /** Ends the wait, or releases what is held. Never rejects. @param isWorkOver else whoever works under it is told */
  async end(reason: Error, isWorkOver: boolean): Promise<void> {
    if (this.permit === undefined) this.abandoned.abort(reason);
    try {
      const permit = this.permit ?? (await this.acquired);
      const isRevoked = !isWorkOver && permit instanceof OwnPermit;
      await (isRevoked ? permit.revoke() : permit.release());
    } catch {
      // Nothing was acquired: whoever waited for it knows why.
    }
  }

  private get acquired(): Promise<Permit> {
    return (this.acquiring ??= Promise.resolve(this.permit as Permit));
  }

  private joinUntil(signal: CancelSignal): Promise<Permit> {
    return new Promise((resolve, reject) => {
      const stopListening = onAbort(signal, () => {
        stopListening();
        reject(new AcquireAbortedError(this.key, signal.reason));
        if (--this.waiting === 0) this.abandoned.abort(signal.reason);
      });
      this.acquired.then(resolve, reject).finally(stopListening);
    });
  }
}
