import {
  type AcquireOptions,
  byArgs,
  type MemorySemaphoreStoreOptions,
  NamedSemaphore,
  type RedisSemaphoreStoreOptions,
  type SemaphoreDefaults,
  type SemaphoreEvent,
  semaphoreMiddleware,
  type SemaphoreOptions,
  SemaphoreService,
  SingleFlightService,
  TOKENS_A_GRANT,
} from 'nestjs-semaphore';

// What applications export: the declarations of all of this must find names for its types.
const semaphores = new SemaphoreService();
const double = (n: number): number => 2 * n;

export const bound = semaphores.bind('k', double);
export const ofNamed = new NamedSemaphore(semaphores, 'k').bind(double);
export const wrapped = new SingleFlightService(semaphores).wrap(double, { key: 'double' });
export const middleware = semaphoreMiddleware(semaphores);
export const tenant = byArgs((order: { tenant: string }) => order.tenant);
export const { events, defaults, statusCodes, store } = semaphores;
export const looks = [semaphores.inspect('k'), semaphores.health()] as const;
export const subject = (event: SemaphoreEvent) => event.permitId ?? event.key;
export const memory: MemorySemaphoreStoreOptions = {};
export const redis: RedisSemaphoreStoreOptions = { redis: 'redis://localhost' };
export const mostPasses = TOKENS_A_GRANT - 1;
export const ofCall: SemaphoreOptions = { permits: 2, signal: new AbortController().signal };
export const sameOfCall: AcquireOptions = ofCall;
// @ts-expect-error a signal belongs to one call
export const ofEveryCall: SemaphoreDefaults = { permits: 2, signal: new AbortController().signal };
