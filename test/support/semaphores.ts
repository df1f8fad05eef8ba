import {
  type SemaphoreEvent,
  type SemaphoreEventType,
  type SemaphoreModuleOptions,
  SemaphoreService,
} from 'nestjs-semaphore';
import { filter, firstValueFrom, take, toArray } from 'rxjs';
import { uniquePrefix } from './unique-prefix.js';

export type EventOf<T extends SemaphoreEventType> = Extract<SemaphoreEvent, { type: T }>;

/** Services that share one unique prefix, each a "process" of its own to the store; closed together. */
export class Semaphores implements AsyncDisposable {
  readonly prefix = uniquePrefix();
  private readonly opened: SemaphoreService[] = [];

  constructor(private readonly options: SemaphoreModuleOptions) {}

  open(options: SemaphoreModuleOptions = {}): SemaphoreService {
    const service = new SemaphoreService({
      keyPrefix: this.prefix,
      log: 'none',
      ...this.options,
      ...options,
    });
    this.opened.push(service);
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.opened.map((service) => service.close()));
  }
}

/** Work that begins when somebody waits for it, as that of a query builder does. */
export function lazily<T>(work: () => Promise<T>): Promise<T> {
  const begin: Promise<T>['then'] = (onValue, onError) => work().then(onValue, onError);
  return new Proxy({} as Promise<T>, { get: (_, name) => (name === 'then' ? begin : undefined) });
}

/** The next event of a type; to be called before what causes it. */
export function nextEvent<T extends SemaphoreEventType>(
  service: SemaphoreService,
  type: T,
  matches: (event: EventOf<T>) => boolean = () => true,
): Promise<EventOf<T>> {
  return firstValueFrom(
    service.events.pipe(filter((event) => isOf(event, type) && matches(event))),
  ).then((event) => event as EventOf<T>);
}

/** The next events of a type, as many as `count`; to be called before what causes them. */
export function nextEvents<T extends SemaphoreEventType>(
  service: SemaphoreService,
  type: T,
  count: number,
): Promise<EventOf<T>[]> {
  return firstValueFrom(
    service.events.pipe(
      filter((event): event is EventOf<T> => isOf(event, type)),
      take(count),
      toArray(),
    ),
  );
}

/** Starts something that has to wait, and resolves when the store has put it into the queue. */
export async function queued<T>(
  service: SemaphoreService,
  start: () => Promise<T>,
): Promise<{ outcome: Promise<T> }> {
  const waiting = nextEvent(service, 'waiting');
  const outcome = start();
  outcome.catch(() => undefined);
  await Promise.race([waiting, outcome]);
  return { outcome };
}

/** Resolves when the signal is aborted, with its reason. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });
}

/** What a call throws. */
export function thrown(task: () => unknown): unknown {
  try {
    task();
  } catch (error) {
    return error;
  }
  throw new Error('Expected an error');
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('Expected a rejection');
}

function isOf<T extends SemaphoreEventType>(event: SemaphoreEvent, type: T): event is EventOf<T> {
  return event.type === type;
}
