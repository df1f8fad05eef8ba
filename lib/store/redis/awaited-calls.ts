import type { AcquireReply, ReleaseOutcome } from '../semaphore-store.js';
import type { Operation, Sample } from './operations.js';
import type { PendingAcquire } from './pending-acquire.js';
import type { AcquireAnswer } from './script-format.js';

/** Who learns what came of an acquire. */
export interface Acquirer {
  /** @returns the reply for the port */
  acquired(
    pending: PendingAcquire,
    answer: AcquireAnswer,
    sample: Sample,
  ): AcquireReply | Promise<AcquireReply>;
  /** The call failed. @returns the error for the port */
  notAcquired(pending: PendingAcquire, error: unknown): unknown;
}

/** Objects, not closures: what one takes counts where thousands acquire a second. */
export class AcquireCall implements Operation {
  constructor(
    private readonly pending: PendingAcquire,
    readonly text: string,
    private readonly acquirer: Acquirer,
    private readonly resolve: (reply: AcquireReply | Promise<AcquireReply>) => void,
    private readonly reject: (error: unknown) => void,
  ) {}

  get state(): string {
    return this.pending.state;
  }

  answered(answer: AcquireAnswer, sample: Sample): void {
    this.resolve(this.acquirer.acquired(this.pending, answer, sample));
  }

  doubted(until: number): void {
    this.pending.doubtedUntil = until;
  }

  failed(error: Error): void {
    this.reject(this.acquirer.notAcquired(this.pending, error));
  }
}

export class ReleaseCall implements Operation {
  constructor(
    readonly state: string,
    readonly text: string,
    private readonly resolve: (outcome: ReleaseOutcome) => void,
    readonly failed: (error: Error) => void,
  ) {}

  answered(answer: number): void {
    this.resolve(answer === 1 ? 'released' : 'expired');
  }
}
