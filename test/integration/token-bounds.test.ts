import { expect, test } from '@jest/globals';
import { MemorySemaphoreStore, RedisSemaphoreStore } from 'nestjs-semaphore';
import { useRedis } from '../support/redis-server.js';
import { nobody } from '../support/store-server.js';
import { uniquePrefix } from '../support/unique-prefix.js';

/** Tokens are microseconds. */
const TOKENS_A_MINUTE = 60_000_000;

const redis = useRedis();

const limits = { permits: 2, weight: 1, priority: 0, leaseMs: 60_000 };

test.each([
  ['memory', () => new MemorySemaphoreStore()],
  ['Redis', () => new RedisSemaphoreStore({ redis: redis.url, keyPrefix: uniquePrefix() })],
])(
  'a release cannot use up all tokens by what it says of the last one, in %s',
  async (_, create) => {
    const session = create().connect(nobody);
    const acquire = async (id: string): Promise<number> => {
      const wish = { key: 'k', id, ...limits, wait: false, maxWaiting: 0, label: undefined };
      const reply = await session.acquire(wish);
      return reply.status === 'granted' ? reply.grant.fencingToken : Number.NaN;
    };
    const first = await acquire('first');
    await acquire('beside');
    expect(await session.release('k', 'first', 0, Number.MAX_SAFE_INTEGER - 1)).toBe('released');
    const next = await acquire('next');
    expect(next).toBeGreaterThan(first);
    expect(next - first).toBeLessThan(TOKENS_A_MINUTE);
    await session.release('k', 'beside', 0);
    await session.release('k', 'next', 0);
    await session.close();
  },
);
