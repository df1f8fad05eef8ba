import { detailOf, stackOf } from '../semaphore.errors.js';
import type { SemaphoreEvent, SemaphoreEventType } from '../semaphore.events.js';
import { quoted } from '../quoted.js';
import { RecentMap } from '../recent-map.js';
import type { ResolvedLog } from '../resolve-log.js';

/** Where log lines go; Nest's Logger is one. */
interface SemaphoreLogger {
  log(message: string): void;
  warn(message: string): void;
  error(message: string, stack?: string): void;
}

/** Events that happen all the time, as opposed to those that somebody ought to hear of. */
const FREQUENT: readonly SemaphoreEventType[] = [
  'waiting',
  'acquired',
  'rejected',
  'renewed',
  'released',
];

/** So long a change of a limit that was told is not told again: two versions of an application may make it at each call. */
const CHANGES_EVERY_MS = 60_000;
/** Remembered at least; fewer than twice as many. */
const CHANGES = 500;

/** Writes events to the logger, or to the sink of the user's. Whatever these throw stays here. */
export class EventLog {
  /** Whether it wants to hear of what happens all the time. */
  isVerbose!: boolean;
  private options!: ResolvedLog;
  private hasSinkFailed = false;
  /** When each change of a limit was told last. */
  private readonly changes = new RecentMap(() => ({ toldAt: -Infinity }), CHANGES);

  constructor(
    private readonly logger: SemaphoreLogger,
    options: ResolvedLog,
  ) {
    this.set(options);
  }

  /** From now on this is logged. */
  set(options: ResolvedLog): void {
    const { level, events } = options;
    this.options = options;
    this.isVerbose = level === 'all' || FREQUENT.some((type) => events[type] === true);
    this.hasSinkFailed = false;
  }

  write(event: SemaphoreEvent): void {
    const severity = severityOf(event);
    if (!this.isLogged(event.type, severity) || this.isRepeated(event)) return;
    const { sink } = this.options;
    if (sink === undefined) this.tell((logger) => logger[severity](describe(event)));
    else void this.pass(sink, event);
  }

  /** Somebody whom events are told to failed. */
  complain(who: string, error: unknown): void {
    const { level, events } = this.options;
    if (level === 'none' && !Object.values(events).includes(true)) return;
    this.tell((logger) => logger.error(`${who} threw an error`, stackOf(error)));
  }

  private isLogged(type: SemaphoreEventType, severity: Severity): boolean {
    const { level, events } = this.options;
    return events[type] ?? (level === 'all' || (level === 'problems' && severity !== 'log'));
  }

  /** Whether the same change of a limit was told lately. With the level 'all' every one is told. */
  private isRepeated(event: SemaphoreEvent): boolean {
    if (event.type !== 'permits-changed' || event.pinned || this.options.level === 'all')
      return false;
    const change = this.changes.get(JSON.stringify([event.key, event.previous, event.permits]));
    if (Math.abs(event.at - change.toldAt) < CHANGES_EVERY_MS) return true;
    change.toldAt = event.at;
    return false;
  }

  private async pass(sink: NonNullable<ResolvedLog['sink']>, event: SemaphoreEvent): Promise<void> {
    try {
      await sink(event, describe(event));
    } catch (error) {
      // It may fail at every event: one line says it.
      if (!this.hasSinkFailed) this.complain('The sink of the semaphore log', error);
      this.hasSinkFailed = true;
    }
  }

  private tell(line: (logger: SemaphoreLogger) => void): void {
    try {
      line(this.logger);
    } catch {
      // A logger that throws must not change what becomes of a permit.
    }
  }
}

type Severity = 'log' | 'warn' | 'error';

function severityOf(event: SemaphoreEvent): Severity {
  switch (event.type) {
    case 'store-down':
      return 'error';
    case 'lost':
    case 'refresh-failed':
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
    case 'refresh-failed':
      return `A new result for ${quoted(event.key)} could not be made in the background: ${detailOf(event.error)}`;
    case 'permits-changed':
      return (
        `Semaphore ${quoted(event.key)} has ${event.permits} permits now, before ${event.previous ?? 'none were known'}` +
        (event.pinned ? '' : '. Do all callers mean the same `permits`?')
      );
    case 'lost':
      return (
        `Permit ${event.permitId} of semaphore ${quoted(event.key)} was lost after ${Math.round(event.heldMs)} ms: ` +
        (event.reason === 'forced' ? 'released by force' : 'its lease ended, or the store lost it')
      );
    case 'rejected':
      return `Semaphore ${quoted(event.key)} rejected ${event.permitId}: ${event.reason} after ${Math.round(event.waitedMs)} ms`;
    case 'acquired':
      return `Permit ${event.permitId} of semaphore ${quoted(event.key)} acquired after ${Math.round(event.waitedMs)} ms`;
    case 'released':
      return `Permit ${event.permitId} of semaphore ${quoted(event.key)} ${event.outcome} after ${Math.round(event.heldMs)} ms`;
    case 'waiting':
    case 'renewed':
      return `Permit ${event.permitId} of semaphore ${quoted(event.key)}: ${event.type}`;
  }
}
