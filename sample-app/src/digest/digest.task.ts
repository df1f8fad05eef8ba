import { Injectable } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import { Semaphore } from 'nestjs-semaphore';

export interface DigestRun {
  pid: number;
  /** Epoch milliseconds. */
  at: number;
}

const KEPT = 100;

@Injectable()
export class DigestTask {
  readonly runs: DigestRun[] = [];

  /**
   * Every 5 seconds, on one instance only: the others find the permit taken and skip. It stays taken for 3 s, so that
   * an instance whose clock is up to 3 s late still comes to nothing.
   */
  @Cron('*/5 * * * * *')
  @Semaphore({ key: 'digest', waitMs: 0, onUnavailable: 'skip', holdAtLeastMs: 3_000 })
  async send(): Promise<void> {
    this.runs.push({ pid: process.pid, at: Date.now() });
    if (this.runs.length > KEPT) this.runs.shift();
  }
}
