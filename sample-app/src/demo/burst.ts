import { randomUUID } from 'node:crypto';
import { PassThrough, type Readable } from 'node:stream';
import { monotonicMs } from '../reports/monotonic.js';
import type { RunLog, RunStep } from '../reports/run-log.js';

/** What the start page is told, one JSON object a line. `n` counts the requests in the order of their arrival, from 1. */
export type BurstEvent =
  | { type: 'started'; at: number; requests: number; permits: number }
  | { type: RunStep['type']; at: number; n: number }
  | { type: 'answered'; at: number; n: number; status: number };

/** Sends `requests` requests at once to `url` and tells how each of them fares. Stops when nobody reads any more. */
export function sendBurst(
  url: string,
  requests: number,
  permits: number,
  { steps }: RunLog,
): Readable {
  const ids = new Set<string>(Array.from({ length: requests }, () => randomUUID()));
  const numbers = new Map<string, number>();
  const numberOf = (id: string): number => {
    const n = numbers.get(id) ?? numbers.size + 1;
    numbers.set(id, n);
    return n;
  };
  const abort = new AbortController();
  const lines = new PassThrough();
  const tell = (event: BurstEvent): void => {
    if (lines.writable) lines.write(`${JSON.stringify(event)}\n`);
  };
  const watching = steps.subscribe(({ type, id, at }) => {
    if (ids.has(id)) tell({ type, at, n: numberOf(id) });
  });
  lines.once('close', () => {
    watching.unsubscribe();
    abort.abort();
  });

  const send = async (id: string): Promise<void> => {
    const response = await fetch(url, { headers: { 'x-request-id': id }, signal: abort.signal });
    await response.arrayBuffer();
    tell({ type: 'answered', at: monotonicMs(), n: numberOf(id), status: response.status });
  };
  tell({ type: 'started', at: monotonicMs(), requests, permits });
  Promise.all([...ids].map(send)).then(
    () => lines.end(),
    (error: Error) => lines.destroy(error),
  );
  return lines;
}
