import { Injectable } from '@nestjs/common';
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

export interface Rate {
  readonly pair: string;
  readonly rate: number;
  readonly askedAt: Date;
  /** The process that asked. */
  readonly pid: number;
}

const ANSWER_MS = 400;

/** Somebody else's service: slow, and paid by the call. */
@Injectable()
export class Upstream {
  private count = 0;

  /** How often this process has asked. */
  get calls(): number {
    return this.count;
  }

  async ask(pair: string): Promise<Rate> {
    this.count += 1;
    await delay(ANSWER_MS);
    return { pair, rate: randomInt(9_000, 12_000) / 10_000, askedAt: new Date(), pid: process.pid };
  }
}
