import type { CancelSignal } from './cancel-signal.js';

/**
 * An AbortController and its signal in one, for the inside: a real one costs ten times as much, and most calls need
 * none. Listeners hear it once, and must not throw.
 */
export class CancelSource implements CancelSignal {
  aborted = false;
  reason: unknown;
  private listeners: Set<() => void> | undefined;

  addEventListener(_type: 'abort', listener: () => void): void {
    if (!this.aborted) (this.listeners ??= new Set()).add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.listeners?.delete(listener);
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    // One of them may stop another one from listening.
    for (const listener of this.listeners ?? []) listener();
    this.listeners = undefined;
  }
}
