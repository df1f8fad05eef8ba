import type { CancelSignal } from './abandonment.js';

type Listener = () => void;

interface Watched {
  listeners: Set<Listener>;
  notify: Listener;
}

/** Puts one listener on each signal, however many wait under it: Node warns of the eleventh. */
export class SignalWatch {
  private readonly signals = new Map<CancelSignal, Watched>();

  /** @returns what stops it */
  listen(signal: CancelSignal, listener: Listener): () => void {
    const { listeners } = this.signals.get(signal) ?? this.watch(signal);
    listeners.add(listener);
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.unwatch(signal);
    };
  }

  private watch(signal: CancelSignal): Watched {
    const listeners = new Set<Listener>();
    const notify = (): void => {
      for (const listener of listeners) listener();
    };
    const watched = { listeners, notify };
    this.signals.set(signal, watched);
    signal.addEventListener('abort', notify, { once: true });
    return watched;
  }

  private unwatch(signal: CancelSignal): void {
    const watched = this.signals.get(signal);
    if (watched === undefined) return;
    this.signals.delete(signal);
    signal.removeEventListener('abort', watched.notify);
  }
}
