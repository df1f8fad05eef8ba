import type { IncomingMessage } from 'node:http';

/** What an API key may do. */
export interface RemoteAccess {
  /** The same for all requests with one API key. */
  readonly name: string;
  readonly isAdmin: boolean;
  mayUse(key: string): boolean;
}

/** @throws {HttpProblem} 401 */
export type Authenticate = (request: IncomingMessage) => RemoteAccess;
