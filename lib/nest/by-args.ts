import { checkedAt, requireFunction } from '../option-rules.js';

type ToKey<Args extends unknown[]> = (...args: Args) => string | readonly string[];

/** A key made from the arguments of the decorated method, which begin with `Args`. Made by {@link byArgs}. */
export class KeyByArgs<Args extends unknown[] = never> {
  constructor(
    /** The key of a call with these arguments. */
    readonly of: ToKey<Args>,
  ) {}
}

/**
 * Decorates methods whose arguments begin with `Args`. Each may be wider or narrower there, as in TypeScript's own comparison
 * of methods, and the last ones may be missing. Also what a function of yours that makes such a decorator returns.
 */
export type MethodDecoratorByArgs<Args extends unknown[]> = <Method extends MethodBy<Args>>(
  target: object,
  property: string | symbol,
  descriptor?: TypedPropertyDescriptor<Method>,
) => void;

type MethodBy<Args extends unknown[]> = {
  method(...args: [...Args, ...never[]]): unknown;
}['method'];

/**
 * The key of a call, from the method's own arguments: for provider methods, and for handlers whose key depends
 * on what their pipes made of the request. A method that takes other arguments does not compile.
 * For example `@Semaphore({ key: byArgs((dto: CreateReport) => dto.tenant) })`.
 * @throws {InvalidOptionsError}
 */
export function byArgs<Args extends unknown[]>(toKey: ToKey<Args>): KeyByArgs<Args> {
  checkedAt('byArgs()', () => requireFunction('toKey', toKey));
  return new KeyByArgs(toKey);
}
