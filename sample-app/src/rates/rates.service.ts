import { Injectable } from '@nestjs/common';
import { SingleFlight } from 'nestjs-semaphore';
import { type Rate, Upstream } from './upstream.js';

const KEPT_MS = 2_000;

@Injectable()
export class RatesService {
  constructor(private readonly upstream: Upstream) {}

  /** However many ask, in however many instances: upstream is asked once, and again when the answer is two seconds old. */
  @SingleFlight({ ttlMs: KEPT_MS })
  get(pair: string): Promise<Rate> {
    return this.upstream.ask(pair);
  }
}
