export { describeSemaphoreStore } from './conformance/describe-semaphore-store.js';
export { describeSingleFlightStore } from './conformance/describe-single-flight-store.js';
export type { StoreHarness, TestFramework } from './conformance/store-harness.js';
export { VirtualClock } from './virtual-clock.js';
