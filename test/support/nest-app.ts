import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { expect } from '@jest/globals';
import { firstValueFrom, type Subscription } from 'rxjs';
import {
  type SemaphoreEvent,
  type SemaphoreEventType,
  SemaphoreModule,
  type SemaphoreModuleOptions,
  SemaphoreService,
} from 'nestjs-semaphore';
import { settled } from './turns.js';

export const adapters = [
  { platform: 'Express', createAdapter: () => new ExpressAdapter() },
  { platform: 'Fastify', createAdapter: () => new FastifyAdapter() },
];

export type CreateAdapter = (typeof adapters)[number]['createAdapter'];

/** Marks what a test acquires itself, to see whether it can. */
const PROBE = 'probe';

/** A Nest application that listens, and what its semaphores did. */
export class TestApp {
  readonly events: SemaphoreEvent[] = [];
  private readonly subscription: Subscription;

  private constructor(
    readonly app: INestApplication,
    readonly semaphores: SemaphoreService,
    readonly url: string,
  ) {
    this.subscription = semaphores.events.subscribe((event) => {
      if (!('label' in event) || event.label !== PROBE) this.events.push(event);
    });
  }

  static async start(
    createAdapter: CreateAdapter,
    { imports = [], ...metadata }: ModuleMetadata,
    options: SemaphoreModuleOptions = {},
    configure: (app: INestApplication) => unknown = () => undefined,
    forceCloseConnections = true,
  ): Promise<TestApp> {
    const root = SemaphoreModule.forRoot({ log: 'none', ...options });
    const testing = await Test.createTestingModule({
      ...metadata,
      imports: [root, ...imports],
    }).compile();
    const app = testing.createNestApplication(createAdapter(), {
      logger: false,
      forceCloseConnections,
    });
    await configure(app);
    await app.listen(0, '127.0.0.1');
    return new TestApp(app, app.get(SemaphoreService), await app.getUrl());
  }

  async close(): Promise<void> {
    this.subscription.unsubscribe();
    await this.app.close();
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(this.url + path, init);
  }

  /** A client that leaves without its answer, at the time that the promise says. */
  async leave(path: string, when: Promise<unknown>): Promise<void> {
    const client = new AbortController();
    const response = this.fetch(path, { signal: client.signal });
    await when;
    client.abort();
    await expect(response).rejects.toThrow('abort');
  }

  count(type: SemaphoreEventType, key: string): number {
    return this.known(type, key).length;
  }

  /** Resolves with the last of so many events of this type and key, those that were there already included. */
  async happened(type: SemaphoreEventType, key: string, times = 1): Promise<SemaphoreEvent> {
    for (;;) {
      const last = this.known(type, key)[times - 1];
      if (last !== undefined) return last;
      await firstValueFrom(this.semaphores.events);
    }
  }

  /** It stays held: whatever would free it, because the handler returned or its client left, has been done by then. */
  async expectHeld(key: string): Promise<void> {
    await settled();
    expect(await this.semaphores.inspect(key)).toMatchObject({ held: 1 });
  }

  /** Each call acquired once, and what it held is there for the next one. */
  async expectFreed(key: string, calls = 1): Promise<void> {
    if (calls > 0) await this.happened('released', key, calls);
    expect(this.count('acquired', key)).toBe(calls);
    const permit = await this.semaphores.tryAcquire(key, { label: PROBE });
    expect(permit).not.toBeNull();
    await permit?.release();
  }

  private known(type: SemaphoreEventType, key: string): SemaphoreEvent[] {
    return this.events.filter((event) => event.type === type && event.key === key);
  }
}

/** Somewhere that a handler stops until the test lets it pass. */
export class Gate {
  readonly reached: Promise<void>;
  private readonly passed: Promise<void>;
  private reach: () => void = () => undefined;
  private open: () => void = () => undefined;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.reach = resolve;
    });
    this.passed = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  stop(): Promise<void> {
    this.reach();
    return this.passed;
  }

  pass(): void {
    this.open();
  }
}
