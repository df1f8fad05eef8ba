import { ChurningMap } from '../churning-map.js';
import type { CancelSignal } from './cancel-signal.js';
import { CancelSource } from './cancel-source.js';

type Listener = () => void;

interface Watched {
  listeners: Set<Listener>;
  notify: Listener;
}

const signals = new ChurningMap<CancelSignal, Watched>();

/** Signals of the platform that somebody listens to: none, when nobody waits. */
export const watchedSignals: object = signals;

/**
 * Calls the listener when the signal is aborted. There is one listener of this process on each signal of the platform, however
 * many wait under it: Node warns of the eleventh.
 * @returns what stops it
 */
export function onAbort(signal: CancelSignal, listener: Listener): () => void {
  if (signal instanceof CancelSource) {
    signal.addEventListener('abort', listener);
    return () => signal.removeEventListener('abort', listener);
  }
  const { listeners } = signals.get(signal) ?? watch(signal);
  listeners.add(listener);
  return () => {
    if (listeners.delete(listener) && listeners.size === 0) unwatch(signal);
  };
}

function watch(signal: CancelSignal): Watched {
  const listeners = new Set<Listener>();
  const notify = (): void => {
    for (const listener of listeners) listener();
  };
  const watched = { listeners, notify };
  signals.set(signal, watched);
  signal.addEventListener('abort', notify, { once: true });
  return watched;
}

function unwatch(signal: CancelSignal): void {
  const watched = signals.get(signal);
  if (watched === undefined) return;
  signals.delete(signal);
  signal.removeEventListener('abort', watched.notify);
}
