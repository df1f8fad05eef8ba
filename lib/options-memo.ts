import { isObject } from './option-rules.js';
import { resolveOptions, type ResolvedOptions } from './resolve-options.js';
import { InvalidOptionsError } from './semaphore.errors.js';
import type { SemaphoreDefaults, SemaphoreOptions } from './semaphore.options.js';

/**
 * Options on top of defaults. What was checked before is not checked again: options that cannot change, as those of
 * decorators and named semaphores, and options that say the same as the last ones, as those of one place in the code do.
 */
export class OptionsMemo {
  private resolvedDefaults: ResolvedOptions | undefined;
  private readonly frozen = new WeakMap<SemaphoreOptions, ResolvedOptions>();
  /** What the last ones said. Whoever passed them may change them. */
  private last: Entries = [];
  private lastResolved: ResolvedOptions | undefined;

  constructor(private readonly defaults: SemaphoreDefaults) {}

  /** @param key what they are for, to be named by the error. @throws {InvalidOptionsError} */
  resolve(
    options: SemaphoreOptions | undefined,
    key?: string | readonly string[],
  ): ResolvedOptions {
    try {
      return this.check(options);
    } catch (error) {
      throw error instanceof InvalidOptionsError ? error.of(key) : error;
    }
  }

  private check(options: SemaphoreOptions | undefined): ResolvedOptions {
    if (options === undefined) return (this.resolvedDefaults ??= resolveOptions(this.defaults));
    // It is refused there.
    if (!isObject(options) || Array.isArray(options)) return resolveOptions(this.defaults, options);
    const known = this.frozen.get(options);
    if (known !== undefined) return known;
    if (this.lastResolved !== undefined && isSame(options, this.last)) return this.lastResolved;
    // Each option is read once: one that is computed may say something else the next time.
    const said = entriesOf(options);
    const resolved = resolveOptions(this.defaults, Object.fromEntries(said));
    if (Object.isFrozen(options)) this.frozen.set(options, resolved);
    else if (resolved.signal === undefined) {
      this.last = said;
      this.lastResolved = resolved;
    }
    return resolved;
  }
}

type Entries = readonly [name: string, value: unknown][];

/** What the options say, with what the object inherits: that counts too. */
function entriesOf(options: SemaphoreOptions): Entries {
  const entries: [string, unknown][] = [];
  for (const name in options) entries.push([name, options[name as keyof SemaphoreOptions]]);
  return entries;
}

/** Whether the options say just this, in this order, as those of one place in the code do. */
function isSame(options: SemaphoreOptions, entries: Entries): boolean {
  let at = 0;
  for (const name in options) {
    const entry = entries[at++];
    if (entry?.[0] !== name || entry[1] !== options[name as keyof SemaphoreOptions]) return false;
  }
  return at > 0 && at === entries.length;
}
