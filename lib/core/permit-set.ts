import { validateLease } from '../resolve-options.js';
import type { ReleaseOutcome } from '../store/semaphore-store.js';
import type { Permit } from './permit.js';
import { PermitBase } from './permit-base.js';

/** The permits that it consists of, one a key. */
export function partsOf(permit: Permit): readonly Permit[] {
  return permit instanceof PermitSet ? permit.parts : [permit];
}

/** Several permits as one: it is held while all of them are. */
export class PermitSet extends PermitBase implements Permit {
  private controller: AbortController | undefined;
  private releasing: Promise<ReleaseOutcome> | undefined;
  private stopWatching: (() => void) | undefined;
  private readonly first: Permit;

  /** @param parts one permit a key, at least one, in the order in which they were asked for */
  constructor(readonly parts: readonly [Permit, ...Permit[]]) {
    super();
    this.first = parts[0];
  }

  get key(): string {
    return this.first.key;
  }

  get keys(): readonly string[] {
    return this.parts.map((part) => part.key);
  }

  get id(): string {
    return this.first.id;
  }

  get weight(): number {
    return this.first.weight;
  }

  get label(): string | undefined {
    return this.first.label;
  }

  get fencingToken(): number {
    return this.first.fencingToken;
  }

  get fencingTokens(): ReadonlyMap<string, number> {
    return new Map(this.parts.map((part) => [part.key, part.fencingToken]));
  }

  get acquiredAt(): number {
    return Math.max(...this.parts.map((part) => part.acquiredAt));
  }

  get expiresAt(): number {
    return Math.min(...this.parts.map((part) => part.expiresAt));
  }

  get remainingMs(): number {
    return Math.min(...this.parts.map((part) => part.remainingMs));
  }

  get isHeld(): boolean {
    return this.parts.every((part) => part.isHeld);
  }

  get degraded(): boolean {
    return this.parts.some((part) => part.degraded);
  }

  get signal(): AbortSignal {
    return (this.controller ??= this.watchParts()).signal;
  }

  async renew(leaseMs?: number): Promise<void> {
    if (leaseMs !== undefined) validateLease(leaseMs, this.key);
    await Promise.all(this.parts.map((part) => part.renew(leaseMs)));
  }

  release(): Promise<ReleaseOutcome> {
    return (this.releasing ??= this.releaseParts());
  }

  private async releaseParts(): Promise<ReleaseOutcome> {
    this.stopWatching?.();
    const outcomes = await Promise.all(this.parts.map((part) => part.release()));
    return outcomes.includes('expired') ? 'expired' : 'released';
  }

  private watchParts(): AbortController {
    const controller = new AbortController();
    const signals = this.parts.map(({ signal }) => signal);
    const check = (): void => {
      const aborted = signals.find((signal) => signal.aborted);
      if (aborted !== undefined) controller.abort(aborted.reason);
    };
    for (const signal of signals) signal.addEventListener('abort', check);
    // Borrowed ones outlive the set.
    this.stopWatching = () => {
      for (const signal of signals) signal.removeEventListener('abort', check);
    };
    check();
    return controller;
  }
}
