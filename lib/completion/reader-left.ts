import { isPromise } from 'node:util/types';
import { setImmediate } from 'node:timers';
import type { CancelSignal } from '../cancel/cancel-signal.js';
import type { Enter } from './watched-iterable.js';

/** Calls the listener when a reader has left: once all who hear of it have stopped what nobody reads any more. */
export function onceLeft(left: CancelSignal, listener: () => void): void {
  const later = (): void => void setImmediate(listener);
  if (left.aborted) later();
  else left.addEventListener('abort', later);
}

/**
 * Calls `over` when the reader has left and nothing is being done for it any more: a step that it has asked for goes on
 * without it.
 * @returns what leads into the work as `enter` does
 */
export function whenAtRest(left: CancelSignal, over: () => unknown, enter: Enter): Enter {
  let underWay = 0;
  let hasLeft = false;
  const check = (): void => {
    if (hasLeft && underWay === 0) void over();
  };
  const settled = (): void => {
    underWay--;
    check();
  };
  onceLeft(left, () => {
    hasLeft = true;
    check();
  });
  return (task) => {
    const step = enter(task);
    if (isPromise(step)) {
      underWay++;
      step.then(settled, settled);
    }
    return step;
  };
}
