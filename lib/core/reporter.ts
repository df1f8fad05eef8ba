import { type Observable, Subject } from 'rxjs';
import type { LostReason } from '../semaphore.errors.js';
import type { RejectedReason, SemaphoreEvent } from '../semaphore.events.js';
import type { Clock } from '../store/clock.js';
import type { PermitsChange, ReleaseOutcome } from '../store/semaphore-store.js';
import type { Acquired } from './acquisition-probe.js';
import type { EventLog } from './event-log.js';
import { EventOrder } from './event-order.js';
import { GuardedObservable } from './guarded-observable.js';
import type { HeldPermit } from './held-permit.js';
import type { Waiter } from './waiter.js';
import type { Witness } from './witness.js';

/** Who waits. */
type Waiting = Pick<Waiter, 'key' | 'id' | 'options' | 'since'>;
/** Who holds, or held. */
type Holding = Pick<HeldPermit, 'key' | 'id' | 'weight' | 'options' | 'heldSince'>;

/**
 * Tells witnesses, subscribers and the log what happens. What subscribers and the log throw stays here. An event of what
 * happens all the time is made only when somebody wants to hear of it.
 */
export class Reporter {
  private readonly subject = new Subject<SemaphoreEvent>();
  private witnesses: readonly Witness[] = [];
  private readonly order = new EventOrder((event) => this.deliver(event));

  readonly events: Observable<SemaphoreEvent> = GuardedObservable.of(this.subject, (error) =>
    this.log.complain('A subscriber of the semaphore events', error),
  );

  constructor(
    private readonly log: EventLog,
    private readonly clock: Clock,
  ) {}

  /** @returns how to stop it */
  addWitness(witness: Witness): () => void {
    this.witnesses = [...this.witnesses, witness];
    return () => (this.witnesses = this.witnesses.filter((other) => other !== witness));
  }

  waiting(waiter: Waiting): void {
    if (!this.isVerbose) return;
    const { key, id: permitId, options } = waiter;
    const { weight, label } = options;
    this.report({ type: 'waiting', at: this.at, key, permitId, weight, label });
  }

  acquired(waiter: Waiting, { id: permitId, weight, fencingToken, degraded }: Acquired): void {
    if (!this.isHeard) return;
    const { key, options } = waiter;
    const waitedMs = this.clock.now() - waiter.since;
    for (const witness of this.witnesses) witness.acquired(key, waitedMs);
    if (!this.isVerbose) return;
    const { at } = this;
    const { label } = options;
    const grant = { waitedMs, fencingToken, degraded };
    this.report({ type: 'acquired', at, key, permitId, weight, label, ...grant });
  }

  rejected(waiter: Waiting, reason: RejectedReason): void {
    if (!this.isHeard) return;
    const { key, id: permitId, options } = waiter;
    for (const witness of this.witnesses) witness.rejected(key, reason);
    if (!this.isVerbose) return;
    const { at } = this;
    const { weight, label } = options;
    const waitedMs = this.clock.now() - waiter.since;
    this.report({ type: 'rejected', at, key, permitId, weight, label, reason, waitedMs });
  }

  renewed(holder: Omit<Holding, 'heldSince'>, expiresAt: number): void {
    if (!this.isVerbose) return;
    const { key, id: permitId, weight, options } = holder;
    const { label } = options;
    this.report({ type: 'renewed', at: this.at, key, permitId, weight, label, expiresAt });
  }

  /** @param outcome where it is not known yet, the event comes when it is, and later ones of the key come after it */
  released(holder: Holding, outcome: ReleaseOutcome | Promise<ReleaseOutcome>): void {
    if (!this.isHeard) return;
    const heldMs = this.clock.now() - holder.heldSince;
    this.sawEnd(holder.key, heldMs);
    if (!this.isVerbose) return;
    const told = this.releaseOf(holder, heldMs);
    if (typeof outcome === 'string') this.report(told(outcome));
    else this.order.expect(holder.key, outcome, told);
  }

  /** As {@link released}, of a release that may come to nothing: without an outcome there is no event. */
  releasing(holder: Holding, outcome: Promise<ReleaseOutcome | undefined>): void {
    if (!this.isHeard) return;
    const heldMs = this.clock.now() - holder.heldSince;
    const told = this.releaseOf(holder, heldMs);
    this.order.expect(holder.key, outcome, (known) => {
      if (known === undefined) return undefined;
      this.sawEnd(holder.key, heldMs);
      return told(known);
    });
  }

  lost(holder: Holding, reason: LostReason): void {
    const { key, id: permitId, weight, options } = holder;
    const heldMs = this.clock.now() - holder.heldSince;
    for (const witness of this.witnesses) witness.ended(key, heldMs, true);
    const { at } = this;
    const { label } = options;
    this.report({ type: 'lost', at, key, permitId, weight, label, reason, heldMs });
  }

  permitsChanged(change: PermitsChange): void {
    this.report({ type: 'permits-changed', at: this.at, ...change });
  }

  refreshFailed(key: string, error: unknown): void {
    this.report({ type: 'refresh-failed', at: this.at, key, error });
  }

  storeDown(error: Error): void {
    for (const witness of this.witnesses) witness.storeDown(error);
    this.report({ type: 'store-down', at: this.at, error });
  }

  storeUp(downMs: number): void {
    for (const witness of this.witnesses) witness.storeUp();
    this.report({ type: 'store-up', at: this.at, downMs });
  }

  complete(): void {
    this.order.end();
    this.subject.complete();
  }

  /** Somebody wants events of what happens all the time. */
  private get isVerbose(): boolean {
    return this.subject.observed || this.log.isVerbose;
  }

  private get isHeard(): boolean {
    return this.witnesses.length > 0 || this.isVerbose;
  }

  private get at(): number {
    return this.clock.wallTime();
  }

  private sawEnd(key: string, heldMs: number): void {
    for (const witness of this.witnesses) witness.ended(key, heldMs, false);
  }

  private releaseOf(holder: Holding, heldMs: number): (outcome: ReleaseOutcome) => SemaphoreEvent {
    const { key, id: permitId, weight, options } = holder;
    const { at } = this;
    const { label } = options;
    return (outcome) => ({
      type: 'released',
      at,
      key,
      permitId,
      weight,
      label,
      outcome,
      heldMs,
    });
  }

  private report(event: SemaphoreEvent): void {
    this.order.pass(event);
  }

  private deliver(event: SemaphoreEvent): void {
    this.log.write(event);
    this.subject.next(event);
  }
}
