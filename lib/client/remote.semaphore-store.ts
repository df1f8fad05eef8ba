import { randomBytes } from 'node:crypto';
import { processName } from '../store/client-id.js';
import { clientIdOf, GRACE_HEADER, NAME_HEADER, SESSION_HEADER } from '../store/remote/wire.js';
import { SemaphoreStore, type StoreClient, type StoreSession } from '../store/semaphore-store.js';
import {
  type RemoteSemaphoreStoreOptions,
  type ResolvedRemoteOptions,
  resolveRemoteOptions,
} from './remote.options.js';
import { RemoteSession, type SessionIdentity } from './remote.session.js';

/**
 * Semaphores of a lock server (`nestjs-semaphore serve`, or `SemaphoreServerModule`), over HTTP or HTTPS. Needs nothing but
 * Node. What a crashed process held is free within `graceMs`.
 * @example
 * const store = new RemoteSemaphoreStore({ url: 'https://locks.example.com', apiKey });
 * const semaphores = new SemaphoreService({ store });
 */
export class RemoteSemaphoreStore extends SemaphoreStore {
  declare private readonly options: ResolvedRemoteOptions;

  /** @throws {InvalidOptionsError} */
  constructor(options: RemoteSemaphoreStoreOptions) {
    super();
    // Not enumerable: loggers print what is, and there may be an API key. Nor a `#options`, which proxies would not have.
    Object.defineProperty(this, 'options', { value: resolveRemoteOptions(options) });
  }

  /** The name is chosen here: it belongs to a secret that only this process and the server know. */
  override connect(client: StoreClient): StoreSession {
    return new RemoteSession(client, this.clock, this.identify(), this.options);
  }

  private identify(): SessionIdentity {
    const { apiKey, graceMs } = this.options;
    const name = processName();
    const secret = randomBytes(32).toString('base64url');
    return {
      clientId: clientIdOf(name, secret),
      headers: {
        [SESSION_HEADER]: secret,
        [NAME_HEADER]: name,
        [GRACE_HEADER]: String(Math.round(graceMs)),
        ...(apiKey === undefined ? {} : { 'x-api-key': apiKey }),
      },
    };
  }
}
