import { randomUUID } from 'node:crypto';
import {
  type Clock,
  MemorySemaphoreStore,
  type SemaphoreModuleOptions,
  SemaphoreService,
  SingleFlightService,
} from 'nestjs-semaphore';
import { RemoteSemaphoreStore } from 'nestjs-semaphore/client';
import { uniquePrefix } from './unique-prefix.js';

/** One "process" to the store. */
export interface Pilot {
  flights: SingleFlightService;
  semaphores: SemaphoreService;
}

/** Several "processes" on one store, closed together. */
export class Pilots implements AsyncDisposable {
  readonly key = `key:${randomUUID().slice(0, 8)}`;
  private readonly opened: SemaphoreService[] = [];
  private readonly shared: SemaphoreModuleOptions;

  /** @param where without `redis` they share a store in memory */
  constructor(where: { redis?: SemaphoreModuleOptions['redis']; clock?: Clock } = {}) {
    const { redis, clock } = where;
    this.shared =
      redis === undefined
        ? { store: new MemorySemaphoreStore(clock === undefined ? {} : { clock }) }
        : { redis, keyPrefix: uniquePrefix('flight') };
  }

  get prefix(): string {
    return this.shared.keyPrefix ?? '';
  }

  join(options: SemaphoreModuleOptions = {}): Pilot {
    const semaphores = new SemaphoreService({ log: 'none', ...this.shared, ...options });
    this.opened.push(semaphores);
    return { semaphores, flights: new SingleFlightService(semaphores) };
  }

  /** One that knows a lock server only. */
  joinOver({ url }: { url: string }): Pilot {
    return this.join({ redis: undefined, store: new RemoteSemaphoreStore({ url }) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.opened.map((semaphores) => semaphores.close()));
  }
}

class Deferred<T> {
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

/** Work that counts how often it is begun, and goes on until the test lets it end. */
export class Job<T> {
  runs = 0;
  readonly signals: AbortSignal[] = [];
  private readonly begun = new Deferred<void>();
  private readonly end = new Deferred<T>();

  readonly work = (signal: AbortSignal): Promise<T> => {
    this.runs++;
    this.signals.push(signal);
    this.begun.resolve();
    return this.end.promise;
  };

  /** Resolves when it was begun. */
  get started(): Promise<void> {
    return this.begun.promise;
  }

  finish(value: T): void {
    this.end.resolve(value);
  }

  fail(error: unknown): void {
    this.end.reject(error);
  }
}

/** Resolves when so many wait for the leader's permit. */
export async function untilFollowed(
  { semaphores }: Pick<Pilot, 'semaphores'>,
  key: string,
  followers = 1,
): Promise<void> {
  for (;;) {
    const { waiters } = await semaphores.inspect(`single-flight:${key}`);
    if (waiters.length >= followers) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
