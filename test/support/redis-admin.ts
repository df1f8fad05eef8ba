import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';

/** Runs `task` with a short-lived connection to the server on `port`. */
export async function withRedis<T>(port: number, task: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 1, commandTimeout: 5_000 });
  redis.on('error', () => {});
  try {
    return await task(redis);
  } finally {
    redis.disconnect();
  }
}

/** Asks again every 20 ms until the answer is true; for servers that tell nobody when they are ready. */
export async function pollUntil(
  what: string,
  check: () => Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await delay(20);
  }
}
