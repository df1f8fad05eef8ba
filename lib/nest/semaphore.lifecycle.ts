import {
  type BeforeApplicationShutdown,
  Injectable,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { SemaphoreService } from '../semaphore.service.js';

/**
 * Shuts the service down in Nest's order: first nobody gets a permit any more and waiters are told, so that their
 * requests end; then Nest lets the requests that hold one finish; the connections are closed last.
 */
@Injectable()
export class SemaphoreLifecycle implements BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(private readonly semaphores: SemaphoreService) {}

  beforeApplicationShutdown(): void {
    this.semaphores.beginClose();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.semaphores.close();
  }
}
