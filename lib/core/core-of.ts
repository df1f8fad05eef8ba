import type { SemaphoreCore } from './semaphore-core.js';

const cores = new WeakMap<object, SemaphoreCore>();

/** Lets {@link coreOf} find the core behind a service: what is built on it needs no public way in. */
export function registerCore(service: object, core: SemaphoreCore): void {
  cores.set(service, core);
}

export function coreOf(service: object): SemaphoreCore | undefined {
  return cores.get(service);
}
