import { ChurningMap } from '../../churning-map.js';
import { RecentMap } from '../../recent-map.js';
import type { Clock, StopTimer } from '../clock.js';
import type { Host, Owner } from './host.js';
import { KeyState } from './key-state.js';
import { MemoryResults } from './memory.results.js';

/** How often keys are looked for whose leases ended without anybody asking for them again. */
const SWEEP_MS = 30_000;
/** Of so many keys at least the limit is known for a while after the last permit. */
const MOST_IDLE = 1_000;

/** The semaphores of one store, which its sessions share. */
export class SharedMemory implements Host {
  /** What flights have published. */
  readonly results: MemoryResults;
  private readonly keys = new ChurningMap<string, KeyState>();
  /** Those that were idle lately among them. */
  private readonly recent = new RecentMap((key) => new KeyState(key, this), MOST_IDLE);
  private readonly epochStart: number;
  /** One for all keys, so that a key can be forgotten and its tokens still grow. */
  private lastToken = 0;
  private isSweepDue = false;

  constructor(private readonly clock: Clock) {
    this.results = new MemoryResults(clock);
    this.epochStart = clock.wallTime() - clock.now();
  }

  /** Runs an operation on the key's settled state. */
  run<T>(key: string, operation: (state: KeyState, now: number) => T): T {
    const now = this.clock.now();
    const state = this.keys.get(key) ?? this.begin(key, now);
    state.settle(now);
    const result = operation(state, now);
    if (state.isIdle) {
      state.rest(now);
      this.keys.delete(key);
    } else {
      state.watch(now);
    }
    return result;
  }

  /** Keys that have holders or waiters. */
  usedKeys(isWanted: (key: string) => boolean): string[] {
    const keys = Array.from(this.keys.keys()).filter(isWanted);
    return keys.filter((key) => this.run(key, (state) => state.isUsed));
  }

  /** Takes the owner's waiters out of all lines. */
  dismiss(owner: Owner): void {
    for (const key of this.keys.keys()) this.run(key, (state, now) => state.dismiss(owner, now));
  }

  toEpoch(time: number): number {
    return Math.round(this.epochStart + time);
  }

  nextToken(now: number): number {
    this.lastToken = Math.max(this.lastToken + 1, Math.floor((this.epochStart + now) * 1000));
    return this.lastToken;
  }

  noteToken(token: number): void {
    this.lastToken = Math.max(this.lastToken, token);
  }

  wake(key: string, delayMs: number): StopTimer {
    return this.clock.schedule(() => this.run(key, (state) => state.stop()), delayMs);
  }

  private begin(key: string, now: number): KeyState {
    const state = this.recent.get(key);
    state.begin(now);
    this.keys.set(key, state);
    if (!this.isSweepDue) {
      this.isSweepDue = true;
      this.clock.schedule(() => this.sweep(), SWEEP_MS);
    }
    return state;
  }

  private sweep(): void {
    for (const key of this.keys.keys()) this.run(key, () => undefined);
    this.isSweepDue = this.keys.size > 0;
    if (this.isSweepDue) this.clock.schedule(() => this.sweep(), SWEEP_MS);
  }
}
