import { setTimeout as delay } from 'node:timers/promises';
import type { KnownKeys } from './known-keys.js';
import type { OutageNote } from './outage-note.js';

const MIN_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 60_000;
/** A listing may take a tenth of the time: so many times as long as it took comes the next one. */
const PAUSE_FACTOR = 9;
/** A list that is due for so long is not shown when there may be a newer one at once. */
const STALE_MS = 2_000;
const PATIENCE_MS = 200;

/** Lists the keys again when it is time: the longer that takes, the rarer it is done. */
export class Listing {
  private current: Promise<void> | undefined;
  private failure: { begun: number; error: unknown } | undefined;
  private dueAt = -Infinity;

  constructor(
    private readonly keys: KnownKeys,
    private readonly outageNote: OutageNote,
  ) {}

  /**
   * Begins a listing if one is due, and waits for it a moment when there is nothing recent to show.
   * @throws what the last listing failed with, until the store answers
   */
  async keepFresh(): Promise<void> {
    const late = performance.now() - this.dueAt;
    if (late >= 0) this.current ??= this.list();
    if (this.current !== undefined && late >= STALE_MS) {
      await Promise.race([this.current, delay(PATIENCE_MS, undefined, { ref: false })]);
      if (!this.keys.areComplete) this.keys.sort();
    }
    const { failure } = this;
    if (failure !== undefined && !this.outageNote.isOutdated(failure.begun)) throw failure.error;
  }

  private async list(): Promise<void> {
    const begun = performance.now();
    try {
      await this.keys.list();
      this.failure = undefined;
      this.outageNote.worked();
    } catch (error) {
      this.failure = { begun, error };
    }
    const ended = performance.now();
    // A failure took as long as somebody waited for the store: that says nothing of what a listing costs.
    const pauseMs = this.failure === undefined ? (ended - begun) * PAUSE_FACTOR : MIN_PAUSE_MS;
    this.dueAt = ended + Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, pauseMs));
    this.current = undefined;
  }
}
