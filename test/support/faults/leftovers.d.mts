import type { SemaphoreService } from 'nestjs-semaphore';

export function leftovers(service: SemaphoreService): Record<string, number>;
