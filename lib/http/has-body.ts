import type { IncomingMessage } from 'node:http';

/** Whether a body comes with the request, or one that came has yet to be read. */
export function hasBody({ headers, httpVersionMajor, readableEnded }: IncomingMessage): boolean {
  // HTTP/2 needs no header to announce a body.
  if (httpVersionMajor >= 2) return !readableEnded;
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}
