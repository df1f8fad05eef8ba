import type { IncomingMessage } from 'node:http';
import { HttpProblem } from '../http/http-problem.js';

const LOOPBACK_ADDRESS = /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/;
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;

/**
 * For a server without API keys: lets pass what programs on this machine ask for, and neither what a proxy passes on nor
 * what a web page makes a browser ask for.
 * @throws {HttpProblem} 403
 */
export function requireLoopback({ headers, socket }: IncomingMessage): void {
  const isLocal = LOOPBACK_ADDRESS.test(socket.remoteAddress ?? '');
  const isForwarded = headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
  const isAddressed = LOOPBACK_HOST.test(headers.host ?? headers[':authority']?.toString() ?? '');
  if (isLocal && !isForwarded && isAddressed && isOwnOrigin(headers.origin)) return;
  throw new HttpProblem(
    403,
    'LOOPBACK_ONLY',
    'This server has no API keys and serves only requests from its own machine. Give it `apiKeys`',
  );
}

function isOwnOrigin(origin: string | undefined): boolean {
  if (origin === undefined) return true;
  return URL.canParse(origin) && LOOPBACK_HOST.test(new URL(origin).host);
}
