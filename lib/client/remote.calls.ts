import { ChurningSet } from '../churning-map.js';
import {
  InvalidOptionsError,
  SemaphoreClosedError,
  StoreUnavailableError,
} from '../semaphore.errors.js';
import type { Clock, StopTimer } from '../store/clock.js';
import {
  isOneStep,
  MAX_CALLS,
  MAX_CALLS_BYTES,
  type Timestamp,
  type WireCall,
  type WireError,
  type WireReply,
} from '../store/remote/wire.js';
import { scheduleAfterReading } from './after-reading.js';
import { isRefusal, RequestError } from './http-request.js';

/** The rule that a key breaks which the API key may not use. */
export const ALLOWED_KEY = 'one that the API key may use';

/** An answer, and how the server's clock is read that came with it. */
export interface Answer<T> {
  value: T;
  toLocal: (time: number) => number;
  /** It was sent before, and the server may have done it then. */
  isRepeated: boolean;
}

/** Pairs the server's clock with the local one: `now` was read after `sentAt`. */
export interface Sample extends Timestamp {
  sentAt: number;
}

interface Pending {
  call: WireCall;
  json: string;
  issuedAt: number;
  /** On its way. */
  isSent: boolean;
  /** The server may have done it. */
  isUncertain: boolean;
  resolve(answer: Answer<never>): void;
  reject(error: Error): void;
}

/**
 * The calls of one session, in their order: while one POST is on its way, the calls that come meanwhile gather for the
 * next. A call whose fate is unknown is repeated, within the time limit: calls are idempotent.
 */
export class RemoteCalls {
  private queue: Pending[] = [];
  /** Those that are not settled, in the order in which they were issued. */
  private readonly open = new ChurningSet<Pending>();
  private isReady = false;
  private isSending = false;
  private isClosed = false;
  /** Each is numbered: the server refuses one that comes after a later one. */
  private attempts = 0;
  private downSince: number;
  private lastError: Error | undefined;
  private stopTimer: StopTimer | undefined;

  constructor(
    private readonly post: (body: () => string) => Promise<WireReply>,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
    private readonly on: { answered(sample: Sample): void; failed(error: Error): void },
  ) {
    this.downSince = clock.now();
  }

  /** @throws {StoreUnavailableError} when it did not succeed in time */
  send<T>(call: WireCall): Promise<Answer<T>> {
    if (this.isClosed) return Promise.reject(new SemaphoreClosedError(call.key));
    if (!this.isReady) {
      const isLate = this.clock.now() - this.downSince >= this.timeoutMs;
      if (isLate || isRefusal(this.lastError)) {
        return Promise.reject(this.unavailable(call.key, true));
      }
    }
    const answer = this.enter<T>(call, this.queue);
    this.sendSoon();
    return answer;
  }

  /** The server can be reached. @param first what is to be asked before all that waits */
  resume(first: readonly WireCall[]): Promise<Answer<unknown>>[] {
    this.isReady = true;
    const entered: Pending[] = [];
    const answers = first.map((call) => this.enter(call, entered));
    this.queue.unshift(...entered);
    this.sendSoon();
    return answers;
  }

  /** The server cannot be reached: calls wait for {@link resume}, or fail when it refuses them. */
  pause(error: Error): void {
    this.lastError = error;
    if (this.isReady) this.downSince = this.clock.now();
    this.isReady = false;
    if (!isRefusal(error)) return;
    for (const pending of this.open) this.fail(pending);
  }

  close(): void {
    this.isClosed = true;
    this.stopTimer?.();
    for (const { call, reject } of this.open) reject(new SemaphoreClosedError(call.key));
    this.open.clear();
    this.queue = [];
  }

  private enter<T>(call: WireCall, line: Pending[]): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      const json = JSON.stringify(call);
      const issuedAt = this.clock.now();
      const pending = { call, json, issuedAt, isSent: false, isUncertain: false, resolve, reject };
      line.push(pending);
      this.open.add(pending);
      this.stopTimer ??= this.expireAfter(this.timeoutMs);
    });
  }

  private sendSoon(): void {
    if (this.isSending || !this.isReady) return;
    this.isSending = true;
    process.nextTick(() => void this.sendAll());
  }

  private async sendAll(): Promise<void> {
    while (this.isReady && this.queue.length > 0) {
      const batch = this.takeBatch();
      try {
        await this.sendBatch(batch);
      } catch (error) {
        this.sendAgain(batch, error as Error);
      }
    }
    this.isSending = false;
  }

  private async sendBatch(batch: readonly Pending[]): Promise<void> {
    const sentAt = this.clock.now();
    const calls = batch.map(({ json }) => json).join(',');
    const first = this.attempts + 1;
    const toBody = (): string => {
      const attempt = ++this.attempts;
      if (attempt > first) for (const pending of batch) pending.isUncertain = true;
      return `{"attempt":${attempt},"calls":[${calls}]}`;
    };
    const { server, now, results } = await this.post(toBody);
    this.on.answered({ server, now, sentAt });
    const toLocal = (time: number): number => sentAt + (time - now);
    for (const [i, pending] of batch.entries()) {
      const result = results[i];
      this.open.delete(pending);
      if (result === undefined) pending.reject(this.unavailable(pending.call.key, false));
      else if ('error' in result) pending.reject(toError(result.error, pending.call.key));
      else
        pending.resolve({ value: result.value as never, toLocal, isRepeated: pending.isUncertain });
    }
  }

  private sendAgain(batch: readonly Pending[], error: Error): void {
    this.lastError = error;
    const isFinal = isRefusal(error);
    for (const pending of batch) {
      pending.isSent = false;
      pending.isUncertain ||= !(error instanceof RequestError) || !error.nothingDone;
      if (isFinal) this.fail(pending);
    }
    if (isFinal) return;
    this.queue.unshift(...batch.filter((pending) => this.open.has(pending)));
    this.pause(error);
    this.on.failed(error);
  }

  private takeBatch(): Pending[] {
    let size = 0;
    let count = 0;
    for (const { call, json } of this.queue) {
      size += Buffer.byteLength(json) + 1;
      const isFull = count >= MAX_CALLS || (count > 0 && size > MAX_CALLS_BYTES);
      if (isFull && !isOneStep(this.queue[count - 1]?.call, call)) break;
      count++;
    }
    const batch = this.queue.splice(0, count);
    for (const pending of batch) pending.isSent = true;
    return batch;
  }

  private expireAfter(ms: number): StopTimer {
    return scheduleAfterReading(this.clock, () => this.expire(), ms);
  }

  private expire(): void {
    const end = this.clock.now() - this.timeoutMs;
    this.stopTimer = undefined;
    for (const pending of this.open) {
      if (pending.issuedAt > end) {
        this.stopTimer = this.expireAfter(pending.issuedAt - end);
        break;
      }
      pending.isUncertain ||= pending.isSent;
      this.fail(pending);
    }
    this.queue = this.queue.filter((pending) => this.open.has(pending));
  }

  private fail(pending: Pending): void {
    this.open.delete(pending);
    pending.reject(this.unavailable(pending.call.key, !pending.isUncertain));
  }

  private unavailable(key: string, nothingDone: boolean): StoreUnavailableError {
    const { lastError } = this;
    const detail = lastError?.message ?? `no answer within ${this.timeoutMs} ms`;
    return new StoreUnavailableError(detail, key, lastError, nothingDone);
  }
}

function toError({ code, message, nothingDone }: WireError, key: string): Error {
  if (code === 'FORBIDDEN_KEY') {
    return new InvalidOptionsError('key', key, ALLOWED_KEY, key);
  }
  if (code === 'FORBIDDEN_ROLE') {
    return new InvalidOptionsError('apiKey', '***', 'one with the role `admin`', key);
  }
  return new StoreUnavailableError(message, key, undefined, nothingDone);
}
