import { now } from '../lib/clock.mjs';
import { percentile } from '../lib/measure.mjs';

const BATCH = 64;

/** One caller, one key: acquire, release, again. */
export async function sequential(client, { key, seconds }) {
  const locker = client.locker(key, { permits: 1 });
  const startedAt = now();
  const endsAt = startedAt + seconds * 1000;
  const pairUs = [];
  for (let before = startedAt; before < endsAt;) {
    await locker.acquire();
    await locker.release();
    const after = now();
    pairUs.push((after - before) * 1000);
    before = after;
  }
  return {
    sections: pairUs.length,
    perSecond: (pairUs.length * 1000) / (now() - startedAt),
    p50: percentile(pairUs, 0.5),
    p99: percentile(pairUs, 0.99),
  };
}

/** Callers that do not meet: each goes round the keys that are its own. */
export async function ownKeys(client, { key, callers, keys = callers, seconds }) {
  if (client.pairs !== undefined) return batched(client, { key, callers, seconds });
  const startedAt = now();
  const endsAt = startedAt + seconds * 1000;
  let sections = 0;
  const call = async (caller) => {
    const lockers = [];
    for (let index = caller; index < keys; index += callers) {
      lockers.push(client.locker(`${key}:${index}`, { permits: 1 }));
    }
    for (let turn = 0; now() < endsAt; turn++) {
      const locker = lockers[turn % lockers.length];
      await locker.acquire();
      await locker.release();
      sections++;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  return { sections, perSecond: (sections * 1000) / (now() - startedAt) };
}

/** The limit: as many calls in flight as it takes to carry one pair of every caller. */
async function batched(client, { key, callers, seconds }) {
  const startedAt = now();
  const endsAt = startedAt + seconds * 1000;
  let sections = 0;
  const call = async (batch) => {
    const names = Array.from({ length: BATCH }, (_, index) => `${key}:${batch * BATCH + index}`);
    for (; now() < endsAt; sections += BATCH) await client.pairs(names);
  };
  await Promise.all(Array.from({ length: callers / BATCH }, (_, batch) => call(batch)));
  return { sections, perSecond: (sections * 1000) / (now() - startedAt) };
}
