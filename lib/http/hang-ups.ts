import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import { setImmediate } from 'node:timers';

/**
 * Resolves when all has been read that lay in the connections when it was called, so that whoever had hung up by then is
 * known. A connection's end is read in the turn after the one that reads its data, and no later than the data of others.
 */
export function hangUpsRead(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** Whether nobody is there to be answered. Who has closed its own side is gone, as Node sees it: it closes the other. */
export function isHungUp(response: ServerResponse): boolean {
  if (isHttp2(response)) return response.stream.destroyed;
  const { destroyed, socket } = response;
  return destroyed || socket?.writable === false;
}

/** Of a response that is closed: whether all of it was sent. In HTTP/2 each that is closed counts as finished. */
export function isSent({ writableEnded, writableFinished }: ServerResponse): boolean {
  return writableEnded && writableFinished;
}

/** One that leaves it to its stream to say whether it is closed. */
function isHttp2(
  response: ServerResponse,
): response is ServerResponse & Pick<Http2ServerResponse, 'stream'> {
  return response.req.httpVersionMajor >= 2;
}
