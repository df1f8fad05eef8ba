import type { IncomingMessage } from 'node:http';
import { HttpProblem } from '../http/http-problem.js';

const LOOPBACK_ADDRESS = /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/;
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;

/** What a proxy adds to a request that it passes on. */
const FORWARDING_HEADERS = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
];

/** What a browser says of a request that no page of another site has caused. */
const OWN_SITE = new Set(['same-origin', 'none']);

/**
 * For a server without API keys: lets pass what programs on this machine ask for, and neither what a proxy says that it
 * passes on nor what a web page makes a browser ask for.
 * @throws {HttpProblem} 403
 */
export function requireLoopback({ headers, socket }: IncomingMessage): void {
  const isLocal = LOOPBACK_ADDRESS.test(socket.remoteAddress ?? '');
  const isForwarded = FORWARDING_HEADERS.some((name) => headers[name] !== undefined);
  const isAddressed = LOOPBACK_HOST.test(headers.host ?? headers[':authority']?.toString() ?? '');
  const isOwnSite = OWN_SITE.has(headers['sec-fetch-site'] ?? 'none');
  if (isLocal && !isForwarded && isAddressed && isOwnSite && isOwnOrigin(headers.origin)) return;
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
