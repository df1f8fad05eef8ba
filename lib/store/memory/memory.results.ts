import type { Clock, StopTimer } from '../clock.js';

interface Result {
  token: number;
  /** undefined: makes void what leaders with older tokens publish, but for those who had arrived before. */
  payload: string | undefined;
  /** How many had arrived in the queue. */
  arrivals: number;
  /** Of the clock, as all times here. */
  freshUntil: number;
  usableUntil: number;
  stop: StopTimer;
}

/** What leaders of single flights have published, by key. */
export class MemoryResults {
  private readonly byKey = new Map<string, Result>();

  constructor(private readonly clock: Clock) {}

  get(key: string): Result | undefined {
    return this.byKey.get(key);
  }

  set(key: string, result: Omit<Result, 'stop'>, keepMs: number): void {
    this.delete(key);
    const stop = this.clock.schedule(() => this.byKey.delete(key), keepMs);
    this.byKey.set(key, { ...result, stop });
  }

  delete(key: string): void {
    this.byKey.get(key)?.stop();
    this.byKey.delete(key);
  }
}
