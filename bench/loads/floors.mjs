import { createHash } from 'node:crypto';
import { now } from '../lib/clock.mjs';
import { percentile } from '../lib/measure.mjs';

const TRIVIAL = 'return 1';
const PUBLISH = "return redis.call('publish', KEYS[1], ARGV[1])";

/** Round trips that nothing on this Redis can be faster than, in microseconds. For raw clients only. */
export async function floors(client, { key, seconds, asHandOff = false }) {
  const { redis } = client;
  const subscriber = redis.duplicate();
  const [trivial, publish] = await Promise.all(
    [TRIVIAL, PUBLISH].map(async (script) => {
      await redis.script('LOAD', script);
      return createHash('sha1').update(script).digest('hex');
    }),
  );
  let wake;
  subscriber.on('message', () => wake());
  await subscriber.subscribe(key);
  const told = () => {
    const message = new Promise((resolve) => {
      wake = resolve;
    });
    return Promise.all([redis.evalsha(publish, 1, key, 'x'), message]);
  };
  const calls = {
    ping: () => redis.ping(),
    evalsha: () => redis.evalsha(trivial, 0),
    publish: told,
  };
  const times = { ping: [], evalsha: [], publish: [] };
  try {
    for (const endsAt = now() + seconds * 1000; now() < endsAt;) {
      for (const [name, call] of Object.entries(calls)) {
        const before = now();
        await call();
        times[name].push((now() - before) * 1000);
      }
    }
  } finally {
    subscriber.disconnect();
  }
  const evalshaUs = percentile(times.evalsha, 0.5);
  const evalshaP99Us = percentile(times.evalsha, 0.99);
  return {
    pingUs: percentile(times.ping, 0.5),
    evalshaUs,
    evalshaP99Us,
    publishUs: percentile(times.publish, 0.5),
    ...(asHandOff && { handOffP50: evalshaUs, handOffP99: evalshaP99Us }),
  };
}
