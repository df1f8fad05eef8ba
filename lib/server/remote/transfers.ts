import { ConcurrencyLimit } from '../../concurrency-limit.js';

/** Long results of one caller that are in memory at once. */
const AT_ONCE = 4;

interface Caller {
  limit: ConcurrencyLimit;
  /** Tasks that run or wait. */
  tasks: number;
}

/** A limit for each caller, so that one whose bodies come slowly keeps nobody else waiting. */
export class Transfers {
  private readonly callers = new Map<string, Caller>();

  async run<T>(name: string, task: () => Promise<T>): Promise<T> {
    const caller = this.callers.get(name) ?? { limit: new ConcurrencyLimit(AT_ONCE), tasks: 0 };
    this.callers.set(name, caller);
    caller.tasks++;
    try {
      return await caller.limit.run(task);
    } finally {
      if (--caller.tasks === 0) this.callers.delete(name);
    }
  }
}
