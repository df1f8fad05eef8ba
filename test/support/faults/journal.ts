import { closeSync, openSync, readSync } from 'node:fs';
import { type HistoryEntry, overTheLimit, tokensThatDoNotGrow } from '../history.js';

/** What a worker wrote; times are milliseconds of CLOCK_MONOTONIC. */
export interface JournalLine {
  worker: string;
  event:
    | 'asked'
    | 'entered'
    | 'late'
    | 'worked'
    | 'lost'
    | 'aborted'
    | 'left'
    | 'refused'
    | 'bug'
    | 'store-down'
    | 'store-up';
  at: number;
  call: number;
  key?: string;
  permits?: number;
  weight?: number;
  id?: string;
  fencingToken?: number;
  degraded?: boolean;
  acquiredAt?: number;
  expiresAt?: number;
  code?: string;
  outcome?: string;
  text?: string;
}

/** One acquisition, from the call to its outcome. */
export interface Call {
  asked: JournalLine;
  entered?: JournalLine;
  refused?: JournalLine;
  /** The last step of work: it held the permit then. */
  worked?: JournalLine;
  isOver: boolean;
}

/** What the workers of a test did, as they wrote it down. */
export class Journal {
  readonly lines: JournalLine[] = [];
  private offset = 0;
  private rest = '';

  constructor(private readonly file: string) {}

  /** Reads what was written since. */
  read(): this {
    const fd = openSync(this.file, 'r');
    const buffer = Buffer.alloc(1 << 20);
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, this.offset);
      if (length === 0) break;
      this.offset += length;
      const parts = (this.rest + buffer.toString('latin1', 0, length)).split('\n');
      this.rest = parts.pop() ?? '';
      for (const part of parts) this.lines.push(JSON.parse(part) as JournalLine);
    }
    closeSync(fd);
    return this;
  }

  /** Forgets what was read: a long test judges one round after another. */
  forget(): void {
    this.lines.length = 0;
  }

  of(event: JournalLine['event']): JournalLine[] {
    return this.lines.filter((line) => line.event === event);
  }

  entries(worker: string): number {
    return this.lines.filter((line) => line.event === 'entered' && line.worker === worker).length;
  }

  calls(): Call[] {
    const calls = new Map<string, Call>();
    for (const line of this.lines) {
      const name = `${line.worker}#${line.call}`;
      const call = calls.get(name);
      if (line.event === 'asked') calls.set(name, { asked: line, isOver: false });
      if (call === undefined) continue;
      if (line.event === 'entered') call.entered = line;
      if (line.event === 'worked') call.worked = line;
      if (line.event === 'refused') call.refused = line;
      if (['left', 'late', 'refused'].includes(line.event)) call.isOver = true;
    }
    return [...calls.values()];
  }

  /** Who held a permit of the store, and when that is certain. */
  history(key: string): HistoryEntry[] {
    return this.calls().flatMap(({ asked, entered, worked }) => {
      if (asked.key !== key || entered === undefined || entered.degraded) return [];
      return [
        {
          key,
          id: String(entered.id),
          label: `${asked.worker}#${asked.call}`,
          pid: 0,
          weight: asked.weight ?? 1,
          permits: asked.permits ?? 1,
          priority: 0,
          fencingToken: entered.fencingToken ?? 0,
          askedAt: asked.at,
          enteredAt: entered.at,
          leftAt: worked?.at ?? entered.at,
        },
      ];
    });
  }

  /**
   * The part of the history that a resource lets through which compares fencing tokens: it refuses every step of
   * work under a smaller token than the greatest it has seen.
   */
  fencedHistory(key: string): HistoryEntry[] {
    const history = new Map(this.history(key).map((entry) => [entry.label, { ...entry }]));
    const accepted = new Map<string, HistoryEntry>();
    let greatest = 0;
    for (const { event, worker, call, at } of this.lines.toSorted((a, b) => a.at - b.at)) {
      const entry = history.get(`${worker}#${call}`);
      if (event !== 'worked' || entry === undefined || entry.fencingToken < greatest) continue;
      greatest = entry.fencingToken;
      const before = accepted.get(entry.label);
      accepted.set(entry.label, { ...entry, enteredAt: before?.enteredAt ?? at, leftAt: at });
    }
    return [...accepted.values()];
  }

  /** What is wrong with the history of a key. @param isFenced Redis has lost data: only fenced work is exclusive */
  faults(key: string, isFenced: boolean): string[] {
    return [
      ...overTheLimit(isFenced ? this.fencedHistory(key) : this.history(key)),
      ...tokensThatDoNotGrow(this.history(key)),
    ];
  }
}
