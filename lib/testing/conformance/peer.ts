import assert from 'node:assert/strict';
import { clearTimeout, setTimeout } from 'node:timers';
import type {
  AcquireReply,
  AcquireRequest,
  Grant,
  PermitsChange,
  SemaphoreStore,
  StoreClient,
  StoreSession,
} from '../../store/semaphore-store.js';

/** What a test says about a request; the rest is: one permit, a long lease, an endless queue. */
type Wish = Partial<Omit<AcquireRequest, 'key'>>;

/** A permit that was granted at once. */
export interface Held {
  id: string;
  grant: Grant;
}

/** How long, in real time, a store may say nothing before the test fails: one that polls serves a long queue slowly. */
const MESSAGE_LIMIT_MS = 5_000;

let ids = 0;

/** One process: a session, and a record of what the store told it. */
export class Peer implements StoreClient {
  readonly session: StoreSession;
  readonly revocations: string[] = [];
  readonly changes: PermitsChange[] = [];
  private readonly failures: string[] = [];
  private readonly grants = new Map<string, { grant: Grant; at: number }>();
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly store: SemaphoreStore,
    private readonly messageLimitMs = MESSAGE_LIMIT_MS,
  ) {
    this.session = store.connect(this);
  }

  request(key: string, wish: Wish = {}): AcquireRequest {
    return {
      key,
      id: `permit-${++ids}`,
      permits: 1,
      weight: 1,
      priority: 0,
      leaseMs: 60_000,
      wait: true,
      maxWaiting: Infinity,
      ...wish,
    };
  }

  acquire(key: string, wish: Wish = {}): Promise<AcquireReply> {
    return this.session.acquire(this.request(key, wish));
  }

  /** Acquires; it must be granted at once. */
  async hold(key: string, wish: Wish = {}): Promise<Held> {
    const request = this.request(key, wish);
    const reply = await this.session.acquire(request);
    assert.equal(reply.status, 'granted', `${request.id} should have been granted at once`);
    return { id: request.id, grant: reply.grant };
  }

  /** Acquires; it must have to wait. @returns its id */
  async wait(key: string, wish: Wish = {}): Promise<string> {
    const request = this.request(key, wish);
    const reply = await this.session.acquire(request);
    assert.equal(reply.status, 'waiting', `${request.id} should have had to wait`);
    return request.id;
  }

  /** Whether a permit could be had now. Takes none. */
  async isFree(key: string, wish: Wish = {}): Promise<boolean> {
    const request = this.request(key, { wait: false, ...wish });
    const reply = await this.session.acquire(request);
    if (reply.status === 'granted') await this.session.release(key, request.id, 0);
    return reply.status === 'granted';
  }

  /** Holders in the order of their grants. */
  async holders(key: string): Promise<string[]> {
    const { holders } = await this.session.inspect(key);
    return holders.toSorted((a, b) => a.fencingToken - b.fencingToken).map(({ id }) => id);
  }

  async waiters(key: string): Promise<string[]> {
    return (await this.session.inspect(key)).waiters.map(({ id }) => id);
  }

  async keys(pattern: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const key of this.session.list(pattern)) keys.push(key);
    return keys.toSorted();
  }

  /** The grant that the waiter is told of. */
  async grant(id: string): Promise<Grant> {
    return (await this.told(`${id} should have been granted`, () => this.grants.get(id))).grant;
  }

  /** When the waiter was told of its grant, by the store's clock. */
  async grantedAt(id: string): Promise<number> {
    return (await this.told(`${id} should have been granted`, () => this.grants.get(id))).at;
  }

  async revocation(id: string): Promise<void> {
    const isTold = (): true | undefined => this.revocations.includes(id) || undefined;
    await this.told(`${id} should have been revoked`, isTold);
  }

  async change(index = 0): Promise<PermitsChange> {
    return this.told(`the limit should have changed`, () => this.changes[index]);
  }

  hasGrant(id: string): boolean {
    return this.grants.has(id);
  }

  granted(_key: string, id: string, grant: Grant): void {
    if (!this.grants.has(id)) this.grants.set(id, { grant, at: this.store.clock.now() });
    this.notify();
  }

  revoked(_key: string, id: string): void {
    this.revocations.push(id);
    this.notify();
  }

  permitsChanged(change: PermitsChange): void {
    this.changes.push(change);
    this.notify();
  }

  failed(_key: string, id: string, error: Error): void {
    this.failures.push(`${id}: ${error.message}`);
  }

  down(): void {}

  up(): void {}

  /**
   * What the store tells, as soon as it does.
   * @param what is wrong when it does not
   */
  told<T>(what: string, look: () => T | undefined): Promise<T> {
    const known = look();
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.listeners.delete(check);
        clearTimeout(timer);
      };
      const check = (): void => {
        const found = look();
        if (found === undefined) {
          timer.refresh();
          return;
        }
        end();
        resolve(found);
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error([what, ...this.failures].join('\n')));
      }, this.messageLimitMs);
      this.listeners.add(check);
    });
  }

  /** Something was told. */
  notify(): void {
    for (const listener of this.listeners) listener();
  }
}
