import { setTimeout as delay } from 'node:timers/promises';
import type { KnownKeys } from './known-keys.js';

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
  private problem: unknown;
  private dueAt = -Infinity;

  constructor(
    private readonly keys: KnownKeys,
    private readonly onListed: () => void,
  ) {}

  /**
   * Begins a listing if one is due, and waits for it a moment when there is nothing recent to show.
   * @throws what the last listing failed with
   */
  async keepFresh(): Promise<void> {
    const late = performance.now() - this.dueAt;
    if (late >= 0) this.current ??= this.list();
    if (this.current !== undefined && late >= STALE_MS) {
      await Promise.race([this.current, delay(PATIENCE_MS, undefined, { ref: false })]);
      if (!this.keys.areComplete) this.keys.sort();
    }
    if (this.problem !== undefined) throw this.problem;
  }

  private async list(): Promise<void> {
    const begun = performance.now();
    try {
      await this.keys.list();
      this.problem = undefined;
      this.onListed();
    } catch (error) {
      this.problem = error;
    }
    const ended = performance.now();
    const pauseMs = (ended - begun) * PAUSE_FACTOR;
    this.dueAt = ended + Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, pauseMs));
    this.current = undefined;
  }
}
