import { jest } from '@jest/globals';

/** Timers that a test moves on, beside real sockets, which need what a turn of the event loop does. */
export function useFakeTimers(): void {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] });
}
