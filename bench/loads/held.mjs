import { setTimeout as delay } from 'node:timers/promises';
import { now } from '../lib/clock.mjs';

const AT_ONCE = 64;

/**
 * Acquires and keeps: permits on keys of their own, or all on one key. Says when the last one was acquired.
 * @param {{ key: string, count: number, onOneKey?: boolean }} load
 */
export async function hold(client, { key, count, onOneKey = false }) {
  const lockers = Array.from({ length: count }, (_, index) =>
    onOneKey
      ? client.locker(key, { permits: count })
      : client.locker(`${key}:${index}`, { permits: 1 }),
  );
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(lockers.slice(from, from + AT_ONCE).map((locker) => locker.acquire()));
  }
  const heldAt = now();
  client.held = [...(client.held ?? []), ...lockers];
  return { heldAt };
}

/** Gives back what {@link hold} acquired. */
export async function free(client) {
  const lockers = client.held ?? [];
  client.held = [];
  for (let from = 0; from < lockers.length; from += AT_ONCE) {
    await Promise.all(lockers.slice(from, from + AT_ONCE).map((locker) => locker.release()));
  }
}

/** Lets many wait for a mutex that somebody holds; they go on waiting after this has returned. */
export async function wait(client, { key, count }) {
  let refused;
  for (let from = 0; from < count; from += AT_ONCE) {
    for (let index = from; index < Math.min(from + AT_ONCE, count); index++) {
      const locker = client.locker(key, { permits: 1 });
      locker.acquire().then(
        () => locker.release(),
        (error) => {
          refused = error;
        },
      );
    }
    await delay(2);
  }
  if (refused !== undefined) throw refused;
}

/** Waits for a mutex, and says when it got in. */
export async function enter(client, { key }) {
  const locker = client.locker(key, { permits: 1 });
  await locker.acquire();
  const enteredAt = now();
  await locker.release();
  return { enteredAt };
}
