import { finished } from 'node:stream/promises';
import type { ServerResponse } from 'node:http';
import { ConcurrencyLimit } from '../concurrency-limit.js';
import { isHungUp } from '../http/hang-ups.js';
import { sendJson } from '../http/http-problem.js';

/** How long a client may take to read an answer, besides what its length allows. */
const READ_WITHIN_MS = 10_000;
/** Nobody who reads is slower: 50 kB/s. */
const MIN_BYTES_A_MS = 50;

/**
 * What is long: of each caller so many are in memory at once. A limit for each, so that one whose bodies come slowly, or who
 * reads slowly, keeps nobody else waiting.
 */
export class Transfers {
  private readonly limits = new Map<string, ConcurrencyLimit>();

  constructor(private readonly atOnce: number) {}

  /** @param name one of those of the API keys: each has its limit for good */
  run<T>(name: string, task: () => Promise<T>): Promise<T> {
    const limit = this.limits.get(name) ?? new ConcurrencyLimit(this.atOnce);
    this.limits.set(name, limit);
    return limit.run(task);
  }

  /** Answers with what `make` makes, unless nobody is there any more, and is over when that was read. */
  answer(name: string, response: ServerResponse, make: () => Promise<unknown>): Promise<void> {
    return this.run(name, async () => {
      if (isHungUp(response)) return;
      sendJson(response, 200, await make());
      await untilRead(response);
    });
  }
}

/** Whoever has not read the answer in time is disconnected. */
export async function untilRead(response: ServerResponse): Promise<void> {
  // In HTTP/2 nothing more is told of a response that is closed.
  if (isHungUp(response)) return;
  const timeoutMs = READ_WITHIN_MS + response.writableLength / MIN_BYTES_A_MS;
  const slow = setTimeout(() => response.destroy(), timeoutMs);
  slow.unref();
  await finished(response).catch(() => undefined);
  clearTimeout(slow);
}
