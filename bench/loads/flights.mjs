import { now } from '../lib/clock.mjs';
import { percentile } from '../lib/measure.mjs';

/**
 * From a publication to its follower's result, in another "process"; and, in turns with it, what a message takes that a
 * script publishes.
 */
export async function landing({ leader, follower, hop }, { key, seconds }) {
  const landings = [];
  const hops = [];
  const endsAt = now() + seconds * 1000;
  for (let round = 0; now() < endsAt; round++) {
    landings.push(await landOnce(leader, follower, `${key}:${round}`));
    hops.push(await hop());
  }
  const handOffP50 = percentile(landings, 0.5);
  const hopP50 = percentile(hops, 0.5);
  return {
    handOffP50,
    handOffP99: percentile(landings, 0.99),
    hopP50,
    timesHop: handOffP50 / hopP50,
  };
}

async function landOnce(leader, follower, key) {
  let finish;
  let begin;
  const begun = new Promise((resolve) => (begin = resolve));
  const work = () => {
    begin();
    return new Promise((resolve) => (finish = resolve));
  };
  // A leader's caller has its result in the turn in which it is published.
  const published = leader.flights.run(key, work).then(() => now());
  await begun;
  const landed = follower.flights.run(key, work).then(() => now());
  await follower.queued(key);
  finish({ rate: 1.08, at: 1_700_000_000_000 });
  return ((await landed) - (await published)) * 1000;
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
