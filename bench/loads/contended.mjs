import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { now } from '../lib/clock.mjs';
import { SectionLog } from '../lib/sections.mjs';

const DRAIN_MS = 3000;
const HOPELESS = 200;

/**
 * Workers that want into one key again and again, for some seconds.
 * @param {{ key: string, workers: number, firstWorker?: number, permits?: number, workMs?: number, seconds: number, leadSeconds?: number }} load
 *   what happens in the first `leadSeconds` does not count: many waiters need a while to line up
 */
export async function contended(client, load) {
  const startedAt = now() + (load.leadSeconds ?? 0) * 1000;
  const endsAt = startedAt + load.seconds * 1000;
  const { log, failed, error } = await run(client, load, () => now() < endsAt);
  return { startedAt, log: log.take(), failed, error };
}

/** As {@link contended}, until the workers together have done `sections`. Says how long that took. */
export async function pool(client, load) {
  const startedAt = now();
  let left = load.sections;
  const { log, failed, error } = await run(
    client,
    load,
    () => left > 0,
    () => left-- > 0,
  );
  const entries = log.take();
  const wallMs = Math.max(...entries.filter((_value, index) => index % 3 === 1)) - startedAt;
  return { startedAt, log: entries, failed, error, wallMs };
}

async function run(client, load, isOn, takes = () => true) {
  const { key, workers, firstWorker = 0, permits = 1, workMs = 0 } = load;
  const log = new SectionLog();
  const result = { log, failed: 0, error: undefined };
  const work = async (worker) => {
    const locker = client.locker(key, { permits });
    while (isOn()) {
      try {
        await locker.acquire();
      } catch (error) {
        result.error = `${error?.name}: ${error?.message}`;
        if (++result.failed > HOPELESS && log.count === 0) return;
        await turn();
        continue;
      }
      const enteredAt = now();
      if (takes()) {
        if (workMs > 0) await delay(workMs);
        log.add(enteredAt, now(), worker);
      }
      await locker.release();
    }
  };
  const all = Promise.all(
    Array.from({ length: workers }, (_, index) => work(firstWorker + index)),
  ).catch((error) => {
    result.error = `${error?.name}: ${error?.message}`;
    result.failed++;
  });
  // Those that sleep between two attempts may come late; they find nothing to do any more.
  const late = ((load.leadSeconds ?? 0) + (load.seconds ?? 15)) * 1000 + DRAIN_MS;
  await Promise.race([all, delay(late, undefined, { ref: false })]);
  return result;
}
