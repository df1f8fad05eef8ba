import { RecentMap } from '../../recent-map.js';

/** What Redis keeps of one semaphore, by name. */
interface KeyNames {
  readonly holders: string;
  readonly queue: string;
  /** What the leader of a single flight has published. */
  readonly result: string;
}

/**
 * Names in Redis: `prefix:{key}` (state), `prefix:{key}:h` (holders) and `prefix:{key}:q` (waiters) share a hash slot; so do
 * `prefix:{key}:r`, the result of a single flight, and `prefix:{key}:id:d`, the mark of a waiter that was dropped.
 * `prefix:@client` is a process's channel. Braces in a user's key would end the hash tag early, so they are written as %7B
 * and %7D.
 */
export class RedisKeys {
  private readonly states: RecentMap<string>;
  private readonly names = new RecentMap<KeyNames>((state) => ({
    holders: `${state}:h`,
    queue: `${state}:q`,
    result: `${state}:r`,
  }));

  constructor(readonly prefix: string) {
    this.states = new RecentMap((key) => `${prefix}:{${escape(key)}}`);
  }

  state(key: string): string {
    return this.states.get(key);
  }

  namesOf(state: string): KeyNames {
    return this.names.get(state);
  }

  channel(client: string): string {
    return `${this.prefix}:@${client}`;
  }

  /** The key that {@link state} was made from. */
  keyOf(state: string): string {
    return unescape(state.slice(this.prefix.length + 2, -1));
  }

  /** A pattern for SCAN that finds the state of all keys. */
  get allStates(): string {
    return `${this.prefix.replace(/[\\*?[\]^]/g, '\\$&')}:{*}`;
  }
}

function escape(key: string): string {
  return /[%{}]/.test(key)
    ? key.replace(/[%{}]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    : key;
}

function unescape(escaped: string): string {
  return escaped.replace(/%(25|7B|7D)/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}
