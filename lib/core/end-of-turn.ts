/**
 * Requests from outside come one by one, each in a turn of its own, also those that arrive at the same time. Waiting for
 * the end of the event loop's round lets these go on in one turn: what they ask of the store travels together.
 */
export class EndOfTurn {
  private end: Promise<void> | undefined;

  /** Resolves when everything that had arrived by now was read. */
  wait(): Promise<void> {
    return (this.end ??= new Promise((resolve) => {
      setImmediate(() => {
        this.end = undefined;
        resolve();
      });
    }));
  }
}
