import { checkedAt, requireFunction } from '../option-rules.js';

/** A key made from the arguments of the decorated method. Made by {@link byArgs}. */
export class KeyByArgs {
  constructor(
    /** The key of a call with these arguments. */
    readonly of: (args: unknown[]) => string | readonly string[],
  ) {}
}

/**
 * The key of a call, from the method's own arguments: for provider methods, and for handlers whose key depends
 * on what their pipes made of the request. TypeScript does not compare the function's parameters with those of the method.
 * For example `@Semaphore({ key: byArgs((dto: CreateReport) => dto.tenant) })`.
 * @throws {InvalidOptionsError}
 */
export function byArgs<Args extends unknown[]>(
  toKey: (...args: Args) => string | readonly string[],
): KeyByArgs {
  checkedAt('byArgs()', () => requireFunction('toKey', toKey));
  return new KeyByArgs((args) => toKey(...(args as Args)));
}
