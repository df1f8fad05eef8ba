import { setTimeout as delay } from 'node:timers/promises';
import { now } from '../lib/clock.mjs';

/** Until then whoever started something keeps quiet: its answer would wake another process while the message is on its way. */
const LANDED_MS = 2;

const RESULT = { rate: 1.08, at: 1_700_000_000_000 };

/** Begins work that goes on until {@link finish}. */
export async function lead(client, { key }) {
  await new Promise((begin) => {
    const work = () =>
      new Promise((finish) => {
        client.finishWork = finish;
        begin();
      });
    client.led = client.flights.run(key, work);
  });
}

/** Asks for what another process works on, and is back when it stands in the queue. */
export async function follow(client, { key }) {
  const work = () => Promise.reject(new Error(`"${key}" has no leader`));
  client.landed = client.flights.run(key, work).then(() => now());
  client.landed.catch(() => undefined);
  await client.queued(key);
}

/** When the work was done: all that the publication takes comes after it. */
export async function finish(client) {
  const doneAt = now();
  client.finishWork(RESULT);
  await client.led;
  await delay(LANDED_MS);
  return { at: doneAt };
}

/** When the follower had its result. */
export const landed = async (client) => ({ at: await client.landed });

/** Hears the next message that {@link say} sends. */
export async function hear(client, { key }) {
  client.heard = client.nextMessage().then(() => now());
  if (key !== undefined) await client.queue(key);
}

/** One pub/sub hop. @param load `key` for a script that does all that a publication does */
export async function say(client, { bytes, key }) {
  const text = 'x'.repeat(bytes);
  const saidAt = now();
  await (key === undefined ? client.say(text) : client.sayByScript(text, key));
  await delay(LANDED_MS);
  return { at: saidAt };
}

export const heard = async (client) => ({ at: await client.heard });

/** So many keys at once that nobody else asks for, again and again: each is one flight, or one permit. */
export async function distinctKeys(client, { key, callers, seconds, asPermits = false }) {
  const work = () => 1;
  const call = asPermits
    ? (name) => client.semaphores.withPermit(name, work)
    : (name) => client.flights.run(name, work);
  const startedAt = now();
  const endsAt = startedAt + seconds * 1000;
  let sections = 0;
  while (now() < endsAt) {
    await Promise.all(Array.from({ length: callers }, (_, index) => call(`${key}:${index}`)));
    sections += callers;
  }
  return { sections, perSecond: (sections * 1000) / (now() - startedAt) };
}
