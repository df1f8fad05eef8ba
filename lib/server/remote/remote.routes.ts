import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { EventStream } from '../../http/event-stream.js';
import { hangUpsRead, isHungUp } from '../../http/hang-ups.js';
import type { HttpCall, HttpRoute } from '../../http/http-handler.js';
import { HttpProblem, sendJson } from '../../http/http-problem.js';
import { readJsonBody } from '../../http/read-json-body.js';
import type { Route } from '../../http/router.js';
import { quoted } from '../../quoted.js';
import {
  GRACE_HEADER,
  KEYS_PATH,
  MAX_CALLS_BYTES,
  MAX_GRACE_MS,
  MAX_RESULT_BYTES,
  MIN_GRACE_MS,
  NAME_HEADER,
  RESULT_PATH,
  SESSION_HEADER,
  STORE_PATH,
} from '../../store/remote/wire.js';
import type { SemaphoreStore } from '../../store/semaphore-store.js';
import { Transfers, untilRead } from '../transfers.js';
import { toObject, validate } from '../validate.js';
import { type Access, requireKeys } from '../api-keys.js';
import { callsBody, flightsOf, resultBody, runCalls } from './remote-calls.js';
import {
  keysQuery,
  openHeaders,
  resultQuery,
  storeSessionHeaders,
} from './remote-documentation.js';
import type { SessionWish } from './hosted-session.js';
import { HostedSessions, type RemoteLimits } from './hosted-sessions.js';

interface RemoteStoreOptions extends RemoteLimits {
  store: SemaphoreStore;
  /** The keys in use that are wanted, and no others. */
  list: (pattern: string, isWanted: (key: string) => boolean) => AsyncIterable<string>;
  /** @throws {HttpProblem} 401 */
  authenticate: (request: IncomingMessage) => Access;
}

/** The server's half of RemoteSemaphoreStore. */
export interface RemoteStore {
  readonly routes: HttpRoute[];
  /** Ends all streams and sessions. */
  close(): Promise<void>;
}

/** Of a caller with a valid API key. */
type StoreCall = HttpCall & { access: Access };

interface StoreRoute extends Route {
  answer(call: StoreCall): void | Promise<void>;
}

const HEARTBEAT_MS = 5000;
/** Long results of one caller that are in memory at once. */
const RESULTS_AT_ONCE = 4;
const BODY = { maxBytes: 2 * MAX_CALLS_BYTES, timeoutMs: 10_000 };
/** Text in text: each quote and backslash takes two bytes. */
const RESULT_BODY = { maxBytes: 2 * MAX_RESULT_BYTES + MAX_CALLS_BYTES, timeoutMs: 10_000 };

export function createRemoteStore(options: RemoteStoreOptions): RemoteStore {
  const { store, list, authenticate } = options;
  const sessions = new HostedSessions(store, options);
  const server = randomUUID();
  const transfers = new Transfers(RESULTS_AT_ONCE);

  function open({ request, response, access }: StoreCall): void {
    const wish = wishOf(request);
    const now = store.clock.now();
    sessions.attach(wish, access, () => {
      const stream = new EventStream(request, response, HEARTBEAT_MS);
      stream.send('open', { server, now, graceMs: wish.graceMs, heartbeatMs: HEARTBEAT_MS });
      return stream;
    });
  }

  async function call({ request, response, access }: StoreCall): Promise<void> {
    const now = store.clock.now();
    const { attempt, calls } = validate(callsBody, await readJsonBody(request, BODY));
    // What lay unread while this process stood still may be of a client that has gone on at another server.
    await hangUpsRead();
    if (isHungUp(response)) return;
    const remote = sessions.get(secretOf(request), access);
    if (attempt !== undefined && !remote.accept(attempt)) {
      throw new HttpProblem(
        409,
        'LATE',
        'A later request of the session was here before: nothing was done',
      );
    }
    const results = await runCalls(calls, remote, access);
    sendJson(response, 200, { server, now, results });
    if (calls.some(({ op }) => op === 'inspect')) await untilRead(response);
  }

  async function publishLong({ request, response, hungUp, access }: StoreCall): Promise<void> {
    const secret = secretOf(request);
    // Who has no session sends nothing.
    sessions.get(secret, access);
    await transfers.run(access.name, async () => {
      if (hungUp.aborted) return;
      const body = await readJsonBody(request, RESULT_BODY);
      const { key, ...publication } = validate(resultBody, body);
      requireKeys(access, [key]);
      const flights = flightsOf(sessions.get(secret, access).store, key);
      const published = await flights.publish(key, publication);
      sendJson(response, 200, { published });
    });
  }

  async function lookLong({ request, response, search, access }: StoreCall): Promise<void> {
    const { key, seen } = validate(resultQuery, toObject(search));
    requireKeys(access, [key]);
    const session = sessions.get(secretOf(request), access);
    await transfers.answer(access.name, response, () =>
      flightsOf(session.store, key).look(key, seen),
    );
  }

  async function end({ request, response, access }: StoreCall): Promise<void> {
    await sessions.end(secretOf(request), access);
    response.writeHead(204).end();
  }

  async function keys({ response, search, hungUp, access }: StoreCall): Promise<void> {
    const { pattern = '*' } = validate(keysQuery, toObject(search));
    try {
      response.setHeader('content-type', 'application/jsonl');
      for await (const key of list(pattern, (one) => access.mayUse(one))) {
        if (hungUp.aborted) return;
        // Also for readers that take separators of Unicode for the end of a line, as `readline` from Node 24 on does.
        if (response.write(`${quoted(key)}\n`)) continue;
        await once(response, 'drain', { signal: hungUp }).catch(() => undefined);
      }
      response.end('true\n');
    } catch (error) {
      // A list without its last line is known to be incomplete.
      if (response.headersSent) response.destroy();
      else throw error;
    }
  }

  const routes: StoreRoute[] = [
    { method: 'GET', path: STORE_PATH, noHead: true, answer: open },
    { method: 'POST', path: STORE_PATH, answer: call },
    { method: 'DELETE', path: STORE_PATH, answer: end },
    { method: 'GET', path: KEYS_PATH, answer: keys },
    { method: 'POST', path: RESULT_PATH, answer: publishLong },
    { method: 'GET', path: RESULT_PATH, answer: lookLong },
  ];
  return {
    routes: routes.map(({ answer, ...route }) => ({
      ...route,
      admit: (request) => void authenticate(request),
      handle: (call) => answer(Object.assign(call, { access: authenticate(call.request) })),
    })),
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
  return validate(storeSessionHeaders, request.headers)[SESSION_HEADER];
}
