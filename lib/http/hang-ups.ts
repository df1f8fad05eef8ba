import type { ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers';

/**
 * Resolves when all has been read that lay in the connections when it was called, so that whoever had hung up by then is
 * known. A connection's end is read in the turn after the one that reads its data, and no later than the data of others.
 */
export function hangUpsRead(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** Whether nobody is there to be answered. Who has closed its own side is gone, as Node sees it: it closes the other. */
export function isHungUp({ destroyed, socket, req }: ServerResponse): boolean {
  // In HTTP/2 nothing can be written in answer to HEAD, from its beginning on: that says nothing of its client.
  const isHead = req.httpVersionMajor >= 2 && req.method === 'HEAD';
  return destroyed || (socket?.writable === false && !isHead);
}

/** Of a response that is closed: whether all of it was sent. In HTTP/2 each that is closed counts as finished. */
export function isSent({ writableEnded, writableFinished }: ServerResponse): boolean {
  return writableEnded && writableFinished;
}
