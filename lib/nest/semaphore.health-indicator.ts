import { Injectable } from '@nestjs/common';
import { refuseUnknown, requireObject } from '../option-rules.js';
import { detailOf, InvalidOptionsError } from '../semaphore.errors.js';
import { SemaphoreService } from '../semaphore.service.js';
import type { StoreHealth } from '../store/semaphore-store.js';

/** What a health check says of the store of the semaphores. */
export interface SemaphoreHealth {
  /** 'down': no answer came in time. */
  status: 'up' | 'down';
  /** Milliseconds that a round trip to the store took; null when none succeeded. */
  latencyMs: number | null;
  /** Whether messages of the store come in. Without them permits are still granted, but later. */
  subscriberConnected: boolean;
  /** Milliseconds since the store was heard last; null when it never was. */
  lastSignOfLifeMs: number | null;
  /** Why it is down. */
  message?: string;
}

/** As `@nestjs/terminus` takes it. */
export type SemaphoreHealthResult<Key extends string = 'semaphore'> = Record<Key, SemaphoreHealth>;

/**
 * Tells `@nestjs/terminus` whether the store of the semaphores can be reached. Provided by `SemaphoreModule`.
 * @example
 * ```ts
 * check() {
 *   return this.health.check([() => this.semaphores.isHealthy()]);
 * }
 * ```
 */
@Injectable()
export class SemaphoreHealthIndicator {
  constructor(private readonly semaphores: SemaphoreService) {}

  /**
   * Sends a round trip to the store.
   * @param key under which the result stands
   * @param options.timeoutMs how long it may take, in milliseconds; default 1000
   * @throws {InvalidOptionsError}
   */
  async isHealthy<Key extends string = 'semaphore'>(
    key = 'semaphore' as Key,
    options: { timeoutMs?: number | undefined } = {},
  ): Promise<SemaphoreHealthResult<Key>> {
    requireObject(options);
    refuseUnknown(options, ['timeoutMs']);
    if (typeof key !== 'string' || key.length === 0) {
      throw new InvalidOptionsError('key', key, 'a non-empty string');
    }
    return { [key]: await this.check(options.timeoutMs) } as SemaphoreHealthResult<Key>;
  }

  private async check(timeoutMs: number | undefined): Promise<SemaphoreHealth> {
    try {
      return toResult(await this.semaphores.health(timeoutMs));
    } catch (error) {
      if (error instanceof InvalidOptionsError) throw error;
      return {
        status: 'down',
        latencyMs: null,
        subscriberConnected: false,
        lastSignOfLifeMs: null,
        message: detailOf(error),
      };
    }
  }
}

function toResult({ latencyMs, error, isListening, silentMs }: StoreHealth): SemaphoreHealth {
  return {
    status: latencyMs === undefined ? 'down' : 'up',
    latencyMs: latencyMs === undefined ? null : rounded(latencyMs),
    subscriberConnected: isListening,
    lastSignOfLifeMs: silentMs === Infinity ? null : rounded(silentMs),
    ...(error && { message: detailOf(error) }),
  };
}

/** To whole microseconds. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
