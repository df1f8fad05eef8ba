export { describeSemaphoreStore } from './conformance/describe-semaphore-store.js';
export type { StoreHarness, TestFramework } from './conformance/store-harness.js';
export { VirtualClock } from './virtual-clock.js';
