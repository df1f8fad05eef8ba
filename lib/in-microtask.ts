/** Calls the task in a microtask of its own. Fake timers of tests replace `queueMicrotask`, but no promises. */
export function inMicrotask(task: () => unknown): void {
  void Promise.resolve().then(task);
}
