/** Lets so many work at once; the others wait, in the order in which they came. */
export class ConcurrencyLimit {
  private readonly line: (() => void)[] = [];

  constructor(private free: number) {}

  async run<T>(task: () => T | Promise<T>): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.line.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.line.shift();
      if (next === undefined) this.free++;
      else next();
    }
  }
}
