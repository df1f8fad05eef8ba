import { Injectable } from '@nestjs/common';
import { Subject } from 'rxjs';
import { monotonicMs } from './monotonic.js';

/** One report that was made, with times of the machine's monotonic clock. */
export interface Run {
  readonly id: string;
  readonly pid: number;
  readonly arrivedAt: number;
  readonly enteredAt: number;
  readonly leftAt: number;
}

export interface RunStep {
  readonly type: 'arrived' | 'entered' | 'left';
  readonly id: string;
  readonly at: number;
}

const KEPT = 10_000;

/** Who was inside the limited part, and when. */
@Injectable()
export class RunLog {
  readonly finished: Run[] = [];
  readonly steps = new Subject<RunStep>();

  arrived(id: string): number {
    return this.note('arrived', id);
  }

  async run(id: string, arrivedAt: number, work: () => Promise<void>): Promise<Run> {
    const enteredAt = this.note('entered', id);
    await work();
    const leftAt = this.note('left', id);
    const run = { id, pid: process.pid, arrivedAt, enteredAt, leftAt };
    this.finished.push(run);
    if (this.finished.length > KEPT) this.finished.shift();
    return run;
  }

  private note(type: RunStep['type'], id: string): number {
    const at = monotonicMs();
    this.steps.next({ type, id, at });
    return at;
  }
}
