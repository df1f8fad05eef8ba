/** A function with the same arguments and `this`, whose result comes as a promise. */
export type AsyncTwin<This, Args extends unknown[], Result> = (
  this: This,
  ...args: Args
) => Promise<Awaited<Result>>;

/**
 * Keeps name, length and `this`.
 * @param call what each call does: `work` is what `fn` does with these arguments, and never throws at once
 */
export function asyncTwin<This, Args extends unknown[], Result>(
  fn: (this: This, ...args: Args) => Result,
  call: (work: () => Promise<Awaited<Result>>, args: Args) => Promise<Awaited<Result>>,
): AsyncTwin<This, Args, Result> {
  const twin: AsyncTwin<This, Args, Result> = function (...args) {
    const work = async (): Promise<Awaited<Result>> => await fn.apply(this, args);
    return call(work, args);
  };
  Object.defineProperty(twin, 'name', { value: fn.name, configurable: true });
  Object.defineProperty(twin, 'length', { value: fn.length, configurable: true });
  return twin;
}
