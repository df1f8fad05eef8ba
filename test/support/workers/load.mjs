import { setTimeout as delay } from 'node:timers/promises';

const now = () => Number(process.hrtime.bigint()) / 1e6;
const upTo = (max) => Math.floor(Math.random() * (max + 1));

/** Callers that acquire, work and release until the time is over; some give up early, some do not want to wait at all. */
export async function runLoad(semaphores, load) {
  const { key, permits, callers, durationMs, maxWorkMs, maxWeight = 3 } = load;
  const entries = [];
  const refused = {};
  let lost = 0;
  let calls = 0;
  const end = now() + durationMs;

  async function once() {
    const label = `call-${process.pid}-${++calls}`;
    const weight = 1 + upTo(maxWeight - 1);
    const priority = Math.random() < 0.1 ? 1 : 0;
    const more = load.options ?? { label };
    const options = { permits, weight, priority, waitMs: 30_000, ...more, ...patience() };
    const askedAt = now();
    try {
      await semaphores.withPermit(
        key,
        async (permit) => {
          const enteredAt = now();
          await work(maxWorkMs);
          if (!permit.isHeld) lost++;
          const { id, fencingToken } = permit;
          const pid = process.pid;
          const leftAt = now();
          const times = { askedAt, enteredAt, leftAt };
          entries.push({ key, id, label, pid, weight, permits, priority, fencingToken, ...times });
        },
        options,
      );
    } catch (error) {
      const reason = error.reason ?? error.name;
      refused[reason] = (refused[reason] ?? 0) + 1;
    }
  }

  async function caller() {
    while (now() < end) await once();
  }

  await Promise.all(Array.from({ length: callers }, caller));
  return { entries, refused, lost };
}

/** Of ten calls one is aborted, one has a short time limit, and one does not wait. */
function patience() {
  const kind = upTo(9);
  if (kind === 0) return { signal: AbortSignal.timeout(upTo(200)) };
  if (kind === 1) return { waitMs: 1 + upTo(200) };
  if (kind === 2) return { waitMs: 0 };
  return {};
}

function work(maxMs) {
  const kind = upTo(3);
  if (kind === 0) return undefined;
  return kind === 1 ? Promise.resolve() : delay(upTo(maxMs));
}
