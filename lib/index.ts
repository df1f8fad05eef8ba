export { type Permit } from './core/permit.js';
export { NamedSemaphore } from './named-semaphore.js';
export { byArgs, type KeyByArgs, type MethodDecoratorByArgs } from './nest/by-args.js';
export { CurrentPermit } from './nest/current-permit.decorator.js';
export { getSemaphoreToken, InjectSemaphore } from './nest/inject-semaphore.js';
export { Semaphore } from './nest/semaphore.decorator.js';
export { type SemaphoreDecoratorOptions } from './nest/semaphore.definition.js';
export {
  type MiddlewareResponse,
  semaphoreMiddleware,
  type SemaphoreMiddleware,
  type SemaphoreMiddlewareOptions,
} from './nest/semaphore.middleware.js';
export {
  type SemaphoreHealth,
  SemaphoreHealthIndicator,
  type SemaphoreHealthResult,
} from './nest/semaphore.health-indicator.js';
export { SemaphoreExceptionFilter } from './nest/semaphore-exception.filter.js';
export { SemaphoreGuard } from './nest/semaphore.guard.js';
export { SemaphoreInterceptor } from './nest/semaphore.interceptor.js';
export { SingleFlight, type SingleFlightDecoratorOptions } from './nest/single-flight.decorator.js';
export {
  AcquireAbortedError,
  InvalidOptionsError,
  type LostReason,
  PermitLostError,
  PermitUnavailableError,
  ResultNotSharedError,
  type RetriableError,
  ScopeError,
  SemaphoreClosedError,
  SemaphoreError,
  SingleFlightAbortedError,
  SingleFlightTimeoutError,
  StoreUnavailableError,
  type UnavailableReason,
} from './semaphore.errors.js';
export type {
  RejectedReason,
  SemaphoreAcquiredEvent,
  SemaphoreEvent,
  SemaphoreEventType,
  SemaphoreLostEvent,
  SemaphorePermitsChangedEvent,
  SemaphoreRefreshFailedEvent,
  SemaphoreRejectedEvent,
  SemaphoreReleasedEvent,
  SemaphoreRenewedEvent,
  SemaphoreStoreDownEvent,
  SemaphoreStoreUpEvent,
  SemaphoreWaitingEvent,
} from './semaphore.events.js';
export {
  SemaphoreModule,
  type SemaphoreFeature,
  type SemaphoreOptionsFactory,
} from './semaphore.module.js';
export type {
  AcquireOptions,
  LogLevel,
  LogOptions,
  OnStoreFailure,
  RedisConnection,
  RedisConnectionOptions,
  RedisInstance,
  SemaphoreDefaults,
  SemaphoreModuleOptions,
  SemaphoreOptions,
  StatusCodes,
} from './semaphore.options.js';
export { type Bound, SemaphoreService } from './semaphore.service.js';
export type {
  RunOptions,
  SingleFlightOptions,
  SingleFlightSerializer,
  WrapOptions,
} from './single-flight/single-flight.options.js';
export { SingleFlightService, type Wrapped } from './single-flight/single-flight.service.js';
export { type Clock, type StopTimer } from './store/clock.js';
export {
  MemorySemaphoreStore,
  type MemorySemaphoreStoreOptions,
} from './store/memory/memory.semaphore-store.js';
export { type RedisSemaphoreStoreOptions } from './store/redis/redis.options.js';
export { RedisSemaphoreStore } from './store/redis/redis.semaphore-store.js';
export {
  type AcquireReply,
  type AcquireRequest,
  type Grant,
  type HolderSnapshot,
  type Lease,
  type PermitsChange,
  type ReleaseOutcome,
  SemaphoreStore,
  type SemaphoreSnapshot,
  type StoreClient,
  type StoreHealth,
  type StoreSession,
  type StoreSnapshot,
  TOKENS_A_GRANT,
  type WaiterSnapshot,
} from './store/semaphore-store.js';
export type {
  FlightLook,
  FlightLookState,
  Publication,
  PublicationListener,
  SingleFlightStore,
} from './store/single-flight-store.js';
