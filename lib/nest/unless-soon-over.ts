import { ChurningSet } from '../churning-map.js';
import { systemClock } from '../store/clock.js';

const SOON_MS = 25;

const tasks = new ChurningSet<() => void>();
let isTimerSet = false;

/**
 * Does the task within a moment, unless it is stopped before: for what costs more than most calls last. All share one
 * timer.
 * @param task a function of its own for each call
 * @returns what stops it
 */
export function unlessSoonOver(task: () => void): () => void {
  tasks.add(task);
  if (!isTimerSet) {
    isTimerSet = true;
    systemClock.schedule(doAll, SOON_MS);
  }
  return () => void tasks.delete(task);
}

function doAll(): void {
  isTimerSet = false;
  const due = [...tasks];
  tasks.clear();
  for (const task of due) task();
}
