/** Calls the task in a microtask of its own. Fake timers of tests replace `queueMicrotask`, but no promises. */
export function afterThis(task: () => unknown): void {
  void Promise.resolve().then(task);
}
