import { ConcurrencyLimit } from '../../concurrency-limit.js';

/** Long results of one caller that are in memory at once. */
const AT_ONCE = 4;

interface Caller {
  turns: ConcurrencyLimit;
  /** Tasks that run or wait. */
  tasks: number;
}

/** ConcurrencyLimit of each caller, so that one whose bodies come slowly keeps nobody else waiting. */
export class Transfers {
  private readonly callers = new Map<string, Caller>();

  async run<T>(name: string, task: () => Promise<T>): Promise<T> {
    const caller = this.callers.get(name) ?? { turns: new ConcurrencyLimit(AT_ONCE), tasks: 0 };
    this.callers.set(name, caller);
    caller.tasks++;
    try {
      return await caller.turns.run(task);
    } finally {
      if (--caller.tasks === 0) this.callers.delete(name);
    }
  }
}
