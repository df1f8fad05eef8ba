import { VirtualClock } from '../../../lib/testing/index.js';
import type { SemaphoreService } from '../../../lib/semaphore.service.js';
import {
  type AcquireReply,
  type AcquireRequest,
  type Grant,
  type Lease,
  type ReleaseOutcome,
  SemaphoreStore,
  type StoreClient,
  type StoreSession,
} from '../../../lib/store/semaphore-store.js';

interface Replies {
  acquire: AcquireReply;
  cancel: void;
  release: ReleaseOutcome;
  renew: Lease | null;
}

type Operation = keyof Replies;

/** One call of the core, which the test answers when it likes. */
export class Call<O extends Operation = Operation> {
  readonly reply: Promise<Replies[O]>;
  answer!: (reply: Replies[O]) => void;
  fail!: (error: Error) => void;

  constructor(
    readonly operation: O,
    readonly args: readonly unknown[],
    readonly id: string,
  ) {
    this.reply = new Promise((resolve, reject) => {
      this.answer = resolve;
      this.fail = reject;
    });
  }
}

/** A clock whose timers may be late, as when the event loop was blocked. */
export class LateClock extends VirtualClock {
  private lateBy = 0;

  override now(): number {
    return super.now() + this.lateBy;
  }

  block(ms: number): void {
    this.lateBy += ms;
  }
}

/** A store that does nothing but what the test says: for races that no real store plays on request. */
export class ScriptedStore extends SemaphoreStore {
  override readonly clock = new LateClock();
  /** The core, as the store sees it. */
  client!: StoreClient;
  throwsAtOnce = false;
  isClosed = false;
  readonly calls: Call[] = [];

  override connect(client: StoreClient): StoreSession {
    this.client = client;
    return {
      clientId: 'scripted',
      acquire: (request: AcquireRequest) => this.record('acquire', request.id, [request]),
      cancel: (key, id) => this.record('cancel', id, [key]),
      release: (key, id, holdAtLeastMs, lastToken) =>
        this.record('release', id, [key, holdAtLeastMs, lastToken]),
      renew: (key, id, leaseMs) => this.record('renew', id, [key, leaseMs]),
      inspect: () => Promise.reject(new Error('not scripted')),
      list: async function* () {},
      setPermits: () => Promise.reject(new Error('not scripted')),
      forceRelease: () => Promise.resolve(false),
      close: async () => {
        this.isClosed = true;
      },
    };
  }

  /** The oldest call of this operation that the test has not taken yet. */
  async take<O extends Operation>(operation: O): Promise<Call<O>> {
    await this.clock.advance(0);
    const place = this.calls.findIndex((call) => call.operation === operation);
    if (place < 0) throw new Error(`no ${operation} was called`);
    return this.calls.splice(place, 1)[0] as unknown as Call<O>;
  }

  /** How many calls of this operation were not taken yet. */
  count(operation: Operation): number {
    return this.calls.filter((call) => call.operation === operation).length;
  }

  grant(leaseMs = 30_000, provisional = false): Grant {
    const deadline = this.clock.now() + leaseMs;
    const acquiredAt = this.clock.wallTime();
    const expiresAt = acquiredAt + leaseMs;
    return { deadline, expiresAt, acquiredAt, fencingToken: 7, provisional, permits: 1 };
  }

  lease(leaseMs: number): Lease {
    const { deadline, expiresAt } = this.grant(leaseMs);
    return { deadline, expiresAt };
  }

  /** Acquires with a grant in the reply. */
  async hold(semaphores: SemaphoreService, options: Parameters<SemaphoreService['acquire']>[1]) {
    const permit = semaphores.acquire('k', options);
    const call = await this.take('acquire');
    call.answer({ status: 'granted', grant: this.grant(options?.leaseMs) });
    return permit;
  }

  private record<O extends Operation>(operation: O, id: string, args: unknown[]) {
    if (this.throwsAtOnce) throw new Error('thrown at once');
    const call = new Call(operation, args, id);
    this.calls.push(call as unknown as Call);
    return call.reply;
  }
}
