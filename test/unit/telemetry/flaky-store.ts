import { StoreUnavailableError } from '../../../lib/semaphore.errors.js';
import {
  SemaphoreStore,
  type StoreClient,
  type StoreSession,
} from '../../../lib/store/semaphore-store.js';

/** 'deaf': does nothing, and says so. 'mute': does what it is asked for, and says that it failed. */
export type Fault = 'none' | 'deaf' | 'mute';

/** Another store whose calls can be made to fail, and which can be away. */
export class FlakyStore extends SemaphoreStore {
  override readonly clock;
  fault: Fault = 'none';
  private readonly clients: StoreClient[] = [];

  constructor(private readonly store: SemaphoreStore) {
    super();
    this.clock = store.clock;
  }

  override connect(client: StoreClient): StoreSession {
    this.clients.push(client);
    const session = this.store.connect(client);
    return {
      clientId: session.clientId,
      acquire: (request) => this.call(() => session.acquire(request)),
      cancel: (...args) => this.call(() => session.cancel(...args)),
      release: (...args) => this.call(() => session.release(...args)),
      renew: (key, id, leaseMs) => this.call(() => session.renew(key, id, leaseMs)),
      inspect: (key) => session.inspect(key),
      list: (pattern) => session.list(pattern),
      setPermits: (key, permits) => session.setPermits(key, permits),
      forceRelease: (key, id) => session.forceRelease(key, id),
      close: () => session.close(),
    };
  }

  goAway(): void {
    this.fault = 'deaf';
    for (const client of this.clients) client.down(new Error('away'));
  }

  comeBack(): void {
    this.fault = 'none';
    for (const client of this.clients) client.up();
  }

  private async call<T>(operation: () => Promise<T>): Promise<T> {
    if (this.fault === 'deaf') throw new StoreUnavailableError('deaf');
    const result = await operation();
    if (this.fault === 'mute') throw new StoreUnavailableError('mute');
    return result;
  }
}
