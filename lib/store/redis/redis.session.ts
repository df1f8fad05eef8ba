import type { Clock } from '../clock.js';
import { globMatcher } from '../glob.js';
import type {
  AcquireReply,
  AcquireRequest,
  Lease,
  ReleaseOutcome,
  StoreSnapshot,
  StoreClient,
  StoreHealth,
  StoreSession,
} from '../semaphore-store.js';
import { ReleaseCall } from './awaited-calls.js';
import { RedisAcquires } from './redis.acquires.js';
import { RedisCalls } from './redis.calls.js';
import { RedisCommands } from './redis.commands.js';
import type { Connector } from './redis.connection.js';
import { RedisFlights } from './redis.flights.js';
import { RedisKeys } from './redis.keys.js';
import { RedisLink } from './redis.link.js';
import { listKeys } from './redis.listing.js';
import type { RedisSessionOptions } from './redis.options.js';
import { RedisReplicas } from './redis.replicas.js';
import { readSnapshot } from './redis.snapshot.js';
import type { RedisWaiting } from './redis.waiting.js';
import { isOne, leaseText, toGranted, toLease } from './script-format.js';
import { inspectScript } from './scripts/embedded.js';

/** One process on one Redis: translates the port's calls into operations of the script. */
export class RedisSession implements StoreSession {
  readonly flights: RedisFlights;

  private readonly keys: RedisKeys;
  private readonly link: RedisLink;
  private readonly calls: RedisCalls;
  private readonly commands: RedisCommands;
  private readonly acquires: RedisAcquires;
  /** Those of the acquires that may wait. */
  private readonly waiting: RedisWaiting;
  private isDown = false;
  private wasSubscribed = false;

  constructor(
    private readonly client: StoreClient,
    readonly clientId: string,
    clock: Clock,
    connector: Connector,
    options: RedisSessionOptions,
  ) {
    const { keyPrefix, storeTimeoutMs: timeoutMs } = options;
    this.keys = new RedisKeys(connector.keyPrefix + keyPrefix);
    this.link = new RedisLink(connector, this.keys.channel(clientId), clock, timeoutMs, {
      up: () => this.onUp(),
      down: (error) => this.onDown(error),
      subscribed: () => this.onSubscribed(),
      message: (text) => this.onMessage(text),
    });
    this.calls = new RedisCalls(
      this.link,
      this.keys,
      clientId,
      clock,
      timeoutMs,
      (grants, sample, operations) => this.acquires.onOwnGrants(grants, sample, operations),
    );
    this.commands = new RedisCommands(this.link, this.calls, this.keys, clock, timeoutMs);
    this.flights = new RedisFlights(this.calls, this.keys);
    this.acquires = new RedisAcquires(
      client,
      clientId,
      this.calls,
      this.keys,
      new RedisReplicas(this.link, this.calls, this.commands, options),
      clock,
      timeoutMs,
    );
    this.waiting = this.acquires.waiting;
  }

  acquire(request: AcquireRequest): Promise<AcquireReply> {
    return this.acquires.acquire(request);
  }

  cancel(key: string, id: string): Promise<void> {
    return this.acquires.cancel(key, id);
  }

  release(key: string, id: string, holdAtLeastMs: number, lastToken = 0): Promise<ReleaseOutcome> {
    const known = this.waiting.get(id);
    if (known?.isGranted) this.acquires.ended(known);
    const text =
      holdAtLeastMs === 0 && lastToken === 0 ? `R${id}` : `R${id} ${holdAtLeastMs} ${lastToken}`;
    return new Promise((resolve, reject) => {
      this.calls.issue(new ReleaseCall(this.keys.state(key), text, resolve, reject));
    });
  }

  renew(key: string, id: string, leaseMs: number): Promise<Lease | null> {
    const request = { state: this.keys.state(key), text: `N${id} ${leaseText(leaseMs)}` };
    return this.calls.send(request, (expiry: number, sample) =>
      expiry === 0 ? null : toLease(expiry, sample),
    );
  }

  async inspect(key: string): Promise<StoreSnapshot> {
    const state = this.keys.state(key);
    return readSnapshot(key, (...page) => this.commands.readScript(inspectScript, state, page));
  }

  list(pattern: string, isWanted?: (key: string) => boolean): AsyncIterable<string> {
    return listKeys(
      globMatcher(pattern, isWanted),
      this.link,
      this.calls,
      this.commands,
      this.keys,
    );
  }

  async setPermits(key: string, permits: number | null): Promise<void> {
    const state = this.keys.state(key);
    const request = { state, text: `L${permits ?? ''}` };
    const limits = (answer: [before: number, now: number]): typeof answer => answer;
    const [before, limit] = await this.calls.send(request, limits);
    if (limit === before) return;
    const previous = before === 0 ? undefined : before;
    this.client.permitsChanged({ key, permits: limit, previous, pinned: permits !== null });
  }

  forceRelease(key: string, id: string, onlyWaiting = false): Promise<boolean> {
    const state = this.keys.state(key);
    const first = (answer: number): void => {
      if (answer === 1) this.revoked(state, id);
    };
    const text = `${onlyWaiting ? 'D' : 'F'}${id}`;
    return this.calls.send({ state, text, first }, isOne);
  }

  health(timeoutMs: number): Promise<StoreHealth> {
    return this.link.health(timeoutMs);
  }

  async close(): Promise<void> {
    this.acquires.close();
    await this.link.close();
  }

  /** `id token expiry acquired limit,...` grants · `!id state` a forced release · `?state` a lease that ends earlier than known · `=...` the result of a flight, or that it was forgotten */
  private onMessage(text: string): void {
    const rest = text.slice(1);
    if (text.startsWith('?')) {
      this.waiting.poll(rest);
    } else if (text.startsWith('=')) {
      this.flights.onMessage(rest);
    } else if (text.startsWith('!')) {
      const end = rest.indexOf(' ');
      this.revoked(rest.slice(end + 1), rest.slice(0, end));
    } else {
      for (const one of text.split(',')) {
        const fields = one.split(' ');
        this.waiting.granted(fields[0] as string, toGranted(fields, 1), true);
      }
    }
  }

  private revoked(state: string, id: string): void {
    const pending = this.waiting.get(id);
    if (pending !== undefined) this.acquires.ended(pending);
    this.client.revoked(this.keys.keyOf(state), id);
  }

  /** What was said in between was not heard: waiters ask what became of them, and holders whether they still hold. */
  private onSubscribed(): void {
    this.waiting.listening();
    if (this.wasSubscribed && !this.isDown) this.client.up();
    this.wasSubscribed = true;
  }

  private onUp(): void {
    this.waiting.pollAll();
    if (!this.isDown) return;
    this.isDown = false;
    this.client.up();
  }

  private onDown(error: Error): void {
    if (this.isDown) return;
    this.isDown = true;
    this.client.down(error);
  }
}
