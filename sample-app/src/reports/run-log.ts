import { Injectable } from '@nestjs/common';
import { Subject } from 'rxjs';
import { monotonicMs } from './arrival.js';

/** One report, with times of the machine's monotonic clock. */
export interface Run {
  readonly id: string;
  readonly pid: number;
  readonly arrivedAt: number;
  readonly enteredAt: number;
  readonly leftAt: number;
}

export interface RunStep {
  readonly type: 'entered' | 'left';
  readonly id: string;
  readonly at: number;
}

const KEPT = 10_000;

/** Who was inside the limited part, and when. */
@Injectable()
export class RunLog {
  readonly finished: Run[] = [];
  readonly steps = new Subject<RunStep>();

  async record(id: string, arrivedAt: number, work: () => Promise<void>): Promise<Run> {
    const enteredAt = monotonicMs();
    this.steps.next({ type: 'entered', id, at: enteredAt });
    let leftAt = enteredAt;
    try {
      await work();
    } finally {
      leftAt = monotonicMs();
      this.steps.next({ type: 'left', id, at: leftAt });
    }
    const run = { id, pid: process.pid, arrivedAt, enteredAt, leftAt };
    this.finished.push(run);
    if (this.finished.length > KEPT) this.finished.shift();
    return run;
  }
}
