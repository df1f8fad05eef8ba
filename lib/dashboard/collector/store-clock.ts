/** A difference of clocks that changes by more was set; below that, a reply took its time. */
const STEP_MS = 2_000;

/** The store's clock, as far as its replies tell of it. */
export class StoreClock {
  private aheadMs = 0;

  /** The store said this just now, or a while ago: replies that came late say less than those that came early. */
  hear(storeNow: number): void {
    const ahead = storeNow - Date.now();
    const isStep = Math.abs(ahead - this.aheadMs) > STEP_MS;
    this.aheadMs = isStep ? ahead : Math.max(ahead, this.aheadMs - 1);
  }

  /** Epoch milliseconds. */
  now(): number {
    return Date.now() + this.aheadMs;
  }
}
