import { describe, expect, test } from '@jest/globals';
import { OptionsMemo } from '../../lib/options-memo.js';
import { resolveOptions } from '../../lib/resolve-options.js';
import { InvalidOptionsError } from '../../lib/semaphore.errors.js';
import type { AcquireOptions } from '../../lib/semaphore.options.js';

const DEFAULTS = { waitMs: 50 };

describe('options that were checked before', () => {
  const series: Record<string, readonly (AcquireOptions | undefined)[]> = {
    'the same twice': [{ permits: 2 }, { permits: 2 }],
    'another value': [{ permits: 2 }, { permits: 3 }],
    'one more': [{ permits: 2 }, { permits: 2, weight: 2 }],
    'one less': [{ permits: 2, weight: 2 }, { permits: 2 }],
    'another one': [{ permits: 2 }, { leaseMs: 2 }],
    'another one that says nothing': [{ permits: 2 }, { leaseMs: undefined }],
    'nothing after something': [{ permits: 2 }, {}, undefined],
    'what is inherited': [Object.create({ permits: 2 }) as AcquireOptions, {}],
    'what is inherited besides': [
      Object.assign(Object.create({ permits: 2 }) as AcquireOptions, { leaseMs: 70 }),
      { leaseMs: 70 },
    ],
    'frozen ones between': [{ permits: 2 }, Object.freeze({ permits: 4 }), { permits: 2 }],
    'a signal': [{ permits: 2, signal: new AbortController().signal }, { permits: 2 }],
  };

  test.each(Object.keys(series))('are as if they were not: %s', (name) => {
    const memo = new OptionsMemo(DEFAULTS);
    for (const options of [...(series[name] ?? []), ...(series[name] ?? [])]) {
      expect(memo.resolve(options)).toEqual(resolveOptions(DEFAULTS, options));
    }
  });

  test('are not looked at again', () => {
    const memo = new OptionsMemo(DEFAULTS);
    expect(memo.resolve({ permits: 2 })).toBe(memo.resolve({ permits: 2 }));
  });

  test('may be changed by whoever passed them', () => {
    const memo = new OptionsMemo(DEFAULTS);
    const options = { permits: 2 };
    memo.resolve(options);
    options.permits = 3;
    expect(memo.resolve(options).permits).toBe(3);
  });

  test('that are computed are read once', () => {
    const memo = new OptionsMemo(DEFAULTS);
    let permits = 0;
    const computed = {
      get permits() {
        return ++permits;
      },
    };
    expect(memo.resolve(computed).permits).toBe(1);
    expect(memo.resolve({ permits: 2 }).permits).toBe(2);
  });

  test.each([
    Object.assign([], { permits: 2 }),
    Object.assign(() => 0, { permits: 2 }),
    null,
    [],
    'ab',
    5,
    { permits: 2, permit: 1 },
    { permits: 0 },
  ])('do not make %j acceptable', (wrong) => {
    const memo = new OptionsMemo(DEFAULTS);
    memo.resolve({ permits: 2 });
    expect(() => memo.resolve(wrong as unknown as AcquireOptions)).toThrow(InvalidOptionsError);
    memo.resolve({});
    expect(() => memo.resolve(wrong as unknown as AcquireOptions)).toThrow(InvalidOptionsError);
  });
});
