import {
  type BeforeApplicationShutdown,
  Injectable,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { setTimeout } from 'node:timers';
import { SemaphoreService } from '../semaphore.service.js';
import { findInternals } from '../service-internals.js';

// Nest waits for HTTP requests, but closes microservices and gateways with answers that are not sent yet.
const ANSWERS_SENT_MS = 100;

/**
 * Shuts the service down in Nest's order: first nobody gets a permit any more and waiters are told, so that their
 * requests end; then Nest lets the requests that hold one finish; the connections are closed last. What a test put in the
 * service's place has nothing to shut down.
 */
@Injectable()
export class SemaphoreLifecycle implements BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(private readonly semaphores: SemaphoreService) {}

  async beforeApplicationShutdown(): Promise<void> {
    if (!this.isOurs || !this.semaphores.beginClose()) return;
    // It keeps the process alive: the hooks after it would not run otherwise. No `promisify`: some fake timers reach into that.
    await new Promise((resolve) => setTimeout(resolve, ANSWERS_SENT_MS));
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.isOurs) await this.semaphores.close();
  }

  private get isOurs(): boolean {
    return findInternals(this.semaphores) !== undefined;
  }
}
