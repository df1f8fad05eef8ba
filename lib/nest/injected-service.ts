import { InvalidOptionsError } from '../semaphore.errors.js';
import type { SemaphoreService } from '../semaphore.service.js';

/**
 * What a guard or an interceptor was given.
 * @param type its class
 * @throws {InvalidOptionsError} neither Nest nor whoever made it by hand gave it one
 */
export function requireService(
  semaphores: SemaphoreService | undefined,
  type: NewableFunction,
): SemaphoreService {
  if (semaphores !== undefined) return semaphores;
  throw new InvalidOptionsError(
    'semaphores',
    semaphores,
    `the SemaphoreService: pass the class ${type.name} instead of an instance, for Nest to make one, ` +
      `or give \`new ${type.name}(…)\` the service of the application`,
  );
}
