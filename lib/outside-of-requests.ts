import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * Calls a function in the async context of no request: what it begins, such as a timer or a loop, goes on when the request
 * is over, and must neither keep that in memory nor be traced as its part.
 */
export const outsideOfRequests = AsyncLocalStorage.snapshot();
