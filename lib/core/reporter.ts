import { type Observable, Subject } from 'rxjs';
import { detailOf } from '../semaphore.errors.js';
import type { SemaphoreEvent } from '../semaphore.events.js';
import type { LogLevel } from '../semaphore.options.js';
import { GuardedObservable } from './guarded-observable.js';

/** Where log lines go; Nest's Logger is one. */
export interface SemaphoreLogger {
  log(message: string): void;
  warn(message: string): void;
  error(message: string, stack?: string): void;
}

type WithoutTime<E> = E extends SemaphoreEvent ? Omit<E, 'at'> : never;

/** Tells subscribers and the log what happens. Whatever they throw stays here. */
export class Reporter {
  private readonly subject = new Subject<SemaphoreEvent>();

  readonly events: Observable<SemaphoreEvent> = GuardedObservable.of(this.subject, (error) =>
    this.complain(error),
  );

  constructor(
    private readonly logger: SemaphoreLogger,
    private readonly level: LogLevel,
    private readonly wallTime: () => number,
  ) {}

  /** Somebody listens to what happens all the time: otherwise such events need not be made. */
  get isVerbose(): boolean {
    return this.level === 'all' || this.subject.observed;
  }

  report(event: WithoutTime<SemaphoreEvent>): void {
    const complete = { at: this.wallTime(), ...event } as SemaphoreEvent;
    this.write(complete);
    this.subject.next(complete);
  }

  complete(): void {
    this.subject.complete();
  }

  private write(event: SemaphoreEvent): void {
    const severity = severityOf(event);
    if (severity === 'log' && this.level !== 'all') return;
    this.tell((logger) => logger[severity](describe(event)));
  }

  private complain(error: unknown): void {
    const stack = error instanceof Error ? error.stack : String(error);
    this.tell((logger) =>
      logger.error('A subscriber of the semaphore events threw an error', stack),
    );
  }

  private tell(line: (logger: SemaphoreLogger) => void): void {
    if (this.level === 'none') return;
    try {
      line(this.logger);
    } catch {
      // A logger that throws must not change what becomes of a permit.
    }
  }
}

function severityOf(event: SemaphoreEvent): 'log' | 'warn' | 'error' {
  switch (event.type) {
    case 'store-down':
      return 'error';
    case 'lost':
    case 'store-up':
      return 'warn';
    case 'permits-changed':
      return event.pinned ? 'log' : 'warn';
    default:
      return 'log';
  }
}

function describe(event: SemaphoreEvent): string {
  switch (event.type) {
    case 'store-down':
      return `The store of the semaphores cannot be reached: ${detailOf(event.error)}`;
    case 'store-up':
      return `The store of the semaphores can be reached again after ${Math.round(event.downMs)} ms`;
    case 'permits-changed':
      return (
        `Semaphore "${event.key}" has ${event.permits} permits now, before ${event.previous ?? 'none were known'}` +
        (event.pinned ? '' : '. Do all callers mean the same `permits`?')
      );
    case 'lost':
      return (
        `Permit ${event.permitId} of semaphore "${event.key}" was lost after ${Math.round(event.heldMs)} ms: ` +
        (event.reason === 'forced' ? 'released by force' : 'its lease ended, or the store lost it')
      );
    case 'rejected':
      return `Semaphore "${event.key}" rejected ${event.permitId}: ${event.reason} after ${Math.round(event.waitedMs)} ms`;
    case 'acquired':
      return `Permit ${event.permitId} of semaphore "${event.key}" acquired after ${Math.round(event.waitedMs)} ms`;
    case 'released':
      return `Permit ${event.permitId} of semaphore "${event.key}" ${event.outcome} after ${Math.round(event.heldMs)} ms`;
    case 'waiting':
    case 'renewed':
      return `Permit ${event.permitId} of semaphore "${event.key}": ${event.type}`;
  }
}
