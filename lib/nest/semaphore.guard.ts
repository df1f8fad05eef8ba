import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { Permit } from '../core/permit.js';
import { InvalidOptionsError, PermitUnavailableError } from '../semaphore.errors.js';
import type { SemaphoreDefaults, SemaphoreOptions } from '../semaphore.options.js';
import { SemaphoreService } from '../semaphore.service.js';
import { isSkipped } from './admit.js';
import { KeyByArgs } from './by-args.js';
import { hasGuardPermit, keepGuardPermit } from './guard-permits.js';
import {
  DISCONNECTED,
  onceSentOrClosed,
  type ResponseStream,
  responseOf,
} from './http-response.js';
import { requireService } from './injected-service.js';
import {
  definitionOf,
  keyOf,
  SEMAPHORE_SERVICE,
  type SemaphoreDefinition,
} from './semaphore.definition.js';

/**
 * Admits a request to a handler with `@Semaphore()` before the guards after it do their work. The handler runs under
 * the permit that the guard got; when a later guard, pipe or filter ends the request first, the permit is released with
 * the response. Transports without a response (WebSocket, microservices) and keys by `byArgs()` have no such moment:
 * there the permit is acquired after the guards, as it is without this one.
 *
 * Each step may be overridden.
 */
@Injectable()
export class SemaphoreGuard implements CanActivate {
  @Inject(SemaphoreService)
  private readonly [SEMAPHORE_SERVICE]: SemaphoreService | undefined;

  /**
   * @param semaphores injected by Nest; also into subclasses that leave it out
   * @throws {InvalidOptionsError} made by hand without it
   */
  constructor(@Inject(SEMAPHORE_SERVICE) semaphores?: SemaphoreService) {
    this[SEMAPHORE_SERVICE] = semaphores;
    if (new.target === SemaphoreGuard) requireService(semaphores, SemaphoreGuard);
  }

  /** Called by Nest. Lets every request pass that it does not refuse by an error; those without `@Semaphore()`, too. */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const definition = definitionOf(context.getHandler());
    const response = responseOf(context);
    if (definition === undefined || response === undefined) return true;
    if (definition.key instanceof KeyByArgs || hasGuardPermit(context, definition)) return true;
    if (await this.shouldSkip(context)) return true;
    const permit = await this.admit(context, response);
    keepGuardPermit(context, definition, permit, response);
    return true;
  }

  /** Whether this request needs no permit from the guard; the handler acquires its own then. */
  protected shouldSkip(_context: ExecutionContext): boolean | Promise<boolean> {
    return false;
  }

  /** The key or keys to acquire. */
  protected getKey(
    context: ExecutionContext,
  ): string | readonly string[] | Promise<string | readonly string[]> {
    return keyOf(this.getDefinition(context), context, []);
  }

  /** The options to acquire with. */
  protected getOptions(context: ExecutionContext): SemaphoreDefaults | Promise<SemaphoreDefaults> {
    return this.getDefinition(context).options;
  }

  /** Takes the permit. `options.signal` is aborted when the client disconnects. */
  protected acquire(key: string | readonly string[], options: SemaphoreOptions): Promise<Permit> {
    return requireService(this[SEMAPHORE_SERVICE], this.constructor).acquire(key, options);
  }

  /** No permit could be had: throws what the client gets, or returns for the handler to be skipped. */
  protected onUnavailable(
    context: ExecutionContext,
    error: PermitUnavailableError,
  ): void | Promise<void> {
    if (!this.getDefinition(context).skip) throw error;
  }

  private async admit(
    context: ExecutionContext,
    response: ResponseStream,
  ): Promise<Permit | undefined> {
    const disconnected = new AbortController();
    const stopWatching = onceSentOrClosed(response, () => disconnected.abort(DISCONNECTED));
    try {
      const options = await this.getOptions(context);
      const key = await this.getKey(context);
      return await this.acquire(key, { ...options, signal: disconnected.signal });
    } catch (error) {
      if (error instanceof PermitUnavailableError) await this.onUnavailable(context, error);
      else if (!isSkipped(this.getDefinition(context), error)) throw error;
      return undefined;
    } finally {
      stopWatching();
    }
  }

  private getDefinition(context: ExecutionContext): SemaphoreDefinition {
    const handler = context.getHandler();
    const definition = definitionOf(handler);
    if (definition !== undefined) return definition;
    throw new InvalidOptionsError('handler', handler, 'a handler with @Semaphore()');
  }
}
