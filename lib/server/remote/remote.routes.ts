import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { EventStream } from '../../http/event-stream.js';
import type { HttpCall, HttpRoute } from '../../http/http-handler.js';
import { HttpProblem, sendJson } from '../../http/http-problem.js';
import { readJsonBody } from '../../http/read-json-body.js';
import {
  GRACE_HEADER,
  KEYS_PATH,
  MAX_CALLS_BYTES,
  MAX_GRACE_MS,
  MAX_RESULT_BYTES,
  MIN_GRACE_MS,
  NAME_HEADER,
  SESSION_HEADER,
  STORE_PATH,
} from '../../store/remote/wire.js';
import type { SemaphoreStore, StoreSession } from '../../store/semaphore-store.js';
import { toObject, validate } from '../validate.js';
import type { Authenticate } from './remote-access.js';
import { callsBody, runCalls } from './remote-calls.js';
import { keysQuery, openHeaders, sessionHeaders } from './remote-documentation.js';
import { type RemoteLimits, RemoteSessions, type SessionWish } from './remote-sessions.js';

export interface RemoteStoreOptions extends Partial<RemoteLimits> {
  store: SemaphoreStore;
  list: StoreSession['list'];
  authenticate: Authenticate;
}

/** The server's half of RemoteSemaphoreStore. */
export interface RemoteStore {
  readonly routes: HttpRoute[];
  readonly sessions: RemoteSessions;
  /** Ends all streams and sessions. */
  close(): Promise<void>;
}

const HEARTBEAT_MS = 5000;
/** A result is text in text: each of its quotes and backslashes takes two bytes. */
const BODY = { maxBytes: 2 * (MAX_CALLS_BYTES + MAX_RESULT_BYTES), timeoutMs: 10_000 };

export function createRemoteStore(options: RemoteStoreOptions): RemoteStore {
  const { store, list, authenticate, maxSessions = 1000, maxPermits = 10_000 } = options;
  const sessions = new RemoteSessions(store, { maxSessions, maxPermits });
  const server = randomUUID();

  function open({ request, response }: HttpCall): void {
    if (request.method === 'HEAD') {
      throw new HttpProblem(405, 'METHOD_NOT_ALLOWED', 'HEAD is not possible here: use GET');
    }
    const access = authenticate(request);
    const wish = wishOf(request);
    const now = store.clock.now();
    const { onBroken, stream } = sessions.attach(wish, access, () => {
      const stream = new EventStream(request, response, { heartbeatMs: HEARTBEAT_MS });
      stream.send('open', { server, now, graceMs: wish.graceMs, heartbeatMs: HEARTBEAT_MS });
      return stream;
    });
    if (stream.closed.aborted) onBroken();
    else stream.closed.addEventListener('abort', onBroken, { once: true });
  }

  async function call({ request, response }: HttpCall): Promise<void> {
    const access = authenticate(request);
    const now = store.clock.now();
    const secret = secretOf(request);
    // Long bodies are read of those only who have a session.
    sessions.get(secret, access);
    const { calls } = validate(callsBody, await readJsonBody(request, BODY));
    const remote = sessions.get(secret, access);
    const results = await runCalls(calls, remote, access, () => sessions.hasRoom(remote));
    sendJson(response, 200, { server, now, results });
  }

  async function end({ request, response }: HttpCall): Promise<void> {
    const access = authenticate(request);
    await sessions.end(secretOf(request), access);
    response.writeHead(204).end();
  }

  async function keys({ request, response, search, hungUp }: HttpCall): Promise<void> {
    const access = authenticate(request);
    const { pattern = '*' } = validate(keysQuery, toObject(search));
    try {
      response.setHeader('content-type', 'application/jsonl');
      for await (const key of list(pattern)) {
        if (hungUp.aborted) return;
        if (!access.mayUse(key) || response.write(`${JSON.stringify(key)}\n`)) continue;
        await once(response, 'drain', { signal: hungUp }).catch(() => undefined);
      }
      response.end('true\n');
    } catch (error) {
      // A list without its last line is known to be incomplete.
      if (response.headersSent) response.destroy();
      else throw error;
    }
  }

  return {
    sessions,
    routes: [
      { method: 'GET', path: STORE_PATH, handle: open },
      { method: 'POST', path: STORE_PATH, handle: call },
      { method: 'DELETE', path: STORE_PATH, handle: end },
      { method: 'GET', path: KEYS_PATH, handle: keys },
    ],
    close: () => sessions.close(),
  };
}

function wishOf(request: IncomingMessage): SessionWish {
  const headers = validate(openHeaders, request.headers);
  const graceMs = Number(headers[GRACE_HEADER]);
  return {
    secret: headers[SESSION_HEADER],
    name: headers[NAME_HEADER],
    graceMs: Math.min(Math.max(graceMs, MIN_GRACE_MS), MAX_GRACE_MS),
  };
}

function secretOf(request: IncomingMessage): string {
  return validate(sessionHeaders, request.headers)[SESSION_HEADER];
}
