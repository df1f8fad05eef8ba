import { applyDecorators } from '@nestjs/common';
import {
  type AcquireOptions,
  byArgs,
  type MemorySemaphoreStoreOptions,
  NamedSemaphore,
  PermitUnavailableError,
  type RedisSemaphoreStoreOptions,
  Semaphore,
  type SemaphoreDefaults,
  type SemaphoreEvent,
  SemaphoreExceptionFilter,
  semaphoreMiddleware,
  SemaphoreModule,
  type SemaphoreOptions,
  SemaphoreService,
  SingleFlight,
  SingleFlightService,
  TOKENS_A_GRANT,
} from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { createSemaphoreServer } from 'nestjs-semaphore/server';
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { filter } from 'rxjs';

// What applications export: the declarations of all of this must find names for its types.
const semaphores = new SemaphoreService();
const flights = new SingleFlightService(semaphores);
const double = (n: number): number => 2 * n;

export const bound = semaphores.bind('k', double);
export const ofNamed = new NamedSemaphore(semaphores, 'k').bind(double);
export const wrapped = flights.wrap(double, { key: 'double' });
export const middleware = semaphoreMiddleware(semaphores);
export const tenant = byArgs((order: { tenant: string }) => order.tenant);
export const { events, defaults, statusCodes, store } = semaphores;
export const looks = [semaphores.inspect('k'), semaphores.health()] as const;
export const subject = (event: SemaphoreEvent) => event.permitId ?? event.key;
export const losses = events.pipe(filter((event) => event.type === 'lost'));
export const ofStore = (event: SemaphoreEvent) =>
  event.type === 'store-down' || event.type === 'store-up' ? event : undefined;
export const told = (...args: Parameters<SemaphoreExceptionFilter['catch']>) => args[0];
export const memory: MemorySemaphoreStoreOptions = {};
export const redis: RedisSemaphoreStoreOptions = { redis: 'redis://localhost' };
export const mostPasses = TOKENS_A_GRANT - 1;
export const ofCall: SemaphoreOptions = { permits: 2, signal: new AbortController().signal };
export const sameOfCall: AcquireOptions = ofCall;
// @ts-expect-error a signal belongs to one call
export const ofEveryCall: SemaphoreDefaults = { permits: 2, signal: new AbortController().signal };

export const { handler } = createSemaphoreServer({ semaphores });
export const servers = () => [createServer(handler), createHttp2Server(handler)];

const tls = { ca: ['first', Buffer.from('second')], key: 'encrypted', passphrase: 'secret' };
export const remote = () => new RemoteSemaphoreStore({ url: 'https://localhost', tls });

// A query of a query builder runs when somebody waits for it.
const query = (): PromiseLike<{ rows: number }> => Promise.resolve({ rows: 1 });
export const rows: () => Promise<{ rows: number }>[] = () => [
  semaphores.withPermit('k', query),
  semaphores.scope(query),
  flights.run('k', query),
];

const KEYS = ['a', 'b'] as const;
const FEATURES = [{ name: 'reports', permits: 3 }] as const;
export const features = () => SemaphoreModule.forFeature(FEATURES);
export const decorators = [Semaphore({ key: () => KEYS }), Semaphore({ key: byArgs(() => KEYS) })];

const ofTenant = Semaphore({ key: tenant });
const sharedByTenant = SingleFlight({ key: tenant });
export const together = () => applyDecorators(ofTenant, sharedByTenant);

export class Orders {
  @ofTenant
  @sharedByTenant
  ship(order: { tenant: string; id: number }, by?: string) {
    return Promise.resolve([order.id, by]);
  }

  // @ts-expect-error its first argument is no order
  @ofTenant
  shipAll(tenants: string[]) {
    return Promise.resolve(tenants);
  }

  // @ts-expect-error nor is this one
  @sharedByTenant
  find(id: number) {
    return Promise.resolve(id);
  }
}

export function isBusy(error: unknown): boolean {
  if (!(error instanceof PermitUnavailableError)) return false;
  // @ts-expect-error there is no such code
  if (error.code === 'SEMAPHORE_BUSSY') return false;
  return error.code === 'SEMAPHORE_BUSY';
}
