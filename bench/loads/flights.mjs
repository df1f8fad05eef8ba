import { now } from '../lib/clock.mjs';
import { percentile } from '../lib/measure.mjs';
import { floors } from './floors.mjs';

/** From the end of a leader's work to its follower's result, in another "process". */
export async function landing({ leader, follower }, { key, seconds }) {
  const times = [];
  const endsAt = now() + seconds * 1000;
  for (let round = 0; now() < endsAt; round++) {
    let finish;
    let begin;
    const begun = new Promise((resolve) => (begin = resolve));
    const work = () => {
      begin();
      return new Promise((resolve) => (finish = resolve));
    };
    const led = leader.flights.run(`${key}:${round}`, work);
    await begun;
    const followed = follower.flights.run(`${key}:${round}`, work).then(() => now());
    await follower.queued(`${key}:${round}`);
    const publishedAt = now();
    finish({ rate: 1.08, at: 1_700_000_000_000 });
    times.push(((await followed) - publishedAt) * 1000);
    await led;
  }
  return { handOffP50: percentile(times, 0.5), handOffP99: percentile(times, 0.99) };
}

/** What it is compared with: from a script that publishes to the message, the reply to the script included. */
export async function hop(client, options) {
  const { publishUs } = await floors(client, options);
  return { handOffP50: publishUs };
}

/** So many keys at once that nobody else asks for, again and again: each is one flight, or one permit. */
export async function distinctKeys({ leader }, { key, callers, seconds, asPermits = false }) {
  const work = () => 1;
  const call = asPermits
    ? (name) => leader.semaphores.withPermit(name, work)
    : (name) => leader.flights.run(name, work);
  const startedAt = now();
  const endsAt = startedAt + seconds * 1000;
  let sections = 0;
  while (now() < endsAt) {
    await Promise.all(Array.from({ length: callers }, (_, index) => call(`${key}:${index}`)));
    sections += callers;
  }
  return { sections, perSecond: (sections * 1000) / (now() - startedAt) };
}
