import { randomUUID } from 'node:crypto';
import { PassThrough, type Readable } from 'node:stream';
import { monotonicMs } from '../reports/arrival.js';
import { type RunLog } from '../reports/run-log.js';

/** What the start page is told, one JSON object a line. `n` counts the requests from 1. */
export type BurstEvent =
  | { type: 'started'; at: number; requests: number; permits: number }
  | { type: 'sent' | 'entered' | 'left'; at: number; n: number }
  | { type: 'answered'; at: number; n: number; status: number };

/** Sends `requests` requests at once to `url` and tells how each of them fares. Stops when nobody reads any more. */
export function sendBurst(
  url: string,
  requests: number,
  permits: number,
  { steps }: RunLog,
): Readable {
  const numbers = new Map<string, number>(
    Array.from({ length: requests }, (_, i) => [randomUUID(), i + 1]),
  );
  const abort = new AbortController();
  const lines = new PassThrough();
  const tell = (event: BurstEvent): void => {
    if (lines.writable) lines.write(`${JSON.stringify(event)}\n`);
  };
  const watching = steps.subscribe(({ type, id, at }) => {
    const n = numbers.get(id);
    if (n !== undefined) tell({ type, at, n });
  });
  lines.once('close', () => {
    watching.unsubscribe();
    abort.abort();
  });

  const send = async (id: string, n: number): Promise<void> => {
    tell({ type: 'sent', at: monotonicMs(), n });
    const response = await fetch(url, { headers: { 'x-request-id': id }, signal: abort.signal });
    await response.arrayBuffer();
    tell({ type: 'answered', at: monotonicMs(), n, status: response.status });
  };
  tell({ type: 'started', at: monotonicMs(), requests, permits });
  Promise.all([...numbers].map(([id, n]) => send(id, n))).then(
    () => lines.end(),
    (error: Error) => lines.destroy(error),
  );
  return lines;
}
