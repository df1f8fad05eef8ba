import { type Observable, Subject } from 'rxjs';
import type { SemaphoreEvent } from '../semaphore.events.js';
import type { EventLog } from './event-log.js';
import { GuardedObservable } from './guarded-observable.js';

type WithoutTime<E> = E extends SemaphoreEvent ? Omit<E, 'at'> : never;

/** Tells subscribers and the log what happens. Whatever they throw stays here. */
export class Reporter {
  private readonly subject = new Subject<SemaphoreEvent>();

  readonly events: Observable<SemaphoreEvent> = GuardedObservable.of(this.subject, (error) =>
    this.log.complain('A subscriber of the semaphore events', error),
  );

  constructor(
    private readonly log: EventLog,
    private readonly wallTime: () => number,
  ) {}

  /** Somebody listens to what happens all the time: otherwise such events need not be made. */
  get isVerbose(): boolean {
    return this.subject.observed || this.log.isVerbose;
  }

  report(event: WithoutTime<SemaphoreEvent>): void {
    const complete = { at: this.wallTime(), ...event } as SemaphoreEvent;
    this.log.write(complete);
    this.subject.next(complete);
  }

  complete(): void {
    this.subject.complete();
  }
}
