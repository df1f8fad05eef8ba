/** A clock elsewhere, as far as frames tell of it. */
class RemoteClock {
  #aheadMs = 0;

  /** It said this just now, or a while ago. Late frames say less than early ones. */
  hear(time) {
    const ahead = time - Date.now();
    const isStep = Math.abs(ahead - this.#aheadMs) > 2_000;
    this.#aheadMs = isStep ? ahead : Math.max(ahead, this.#aheadMs - 1);
  }

  /** Epoch milliseconds. */
  now() {
    return Date.now() + this.#aheadMs;
  }
}

/** Of the process that serves the page: what it counted, and since when the store is down. */
export const server = new RemoteClock();

/** Of the store: since when permits are held and waited for, and when leases end. */
export const store = new RemoteClock();
