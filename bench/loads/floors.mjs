import { createHash } from 'node:crypto';
import { now } from '../lib/clock.mjs';
import { percentile } from '../lib/measure.mjs';

const TRIVIAL = 'return 1';
const PUBLISH = "return redis.call('publish', KEYS[1], ARGV[1])";

/** Round trips that nothing on this Redis can be faster than, in microseconds. For raw clients only. */
export async function floors(client, { key, seconds }) {
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
  try {
    const share = seconds / 3;
    const ping = await roundTrips(() => redis.ping(), share);
    const evalsha = await roundTrips(() => redis.evalsha(trivial, 0), share);
    const notify = await roundTrips(told, share);
    return {
      pingUs: ping.p50,
      evalshaUs: evalsha.p50,
      evalshaP99Us: evalsha.p99,
      publishUs: notify.p50,
    };
  } finally {
    subscriber.disconnect();
  }
}

async function roundTrips(call, seconds) {
  const times = [];
  for (const endsAt = now() + seconds * 1000; now() < endsAt;) {
    const before = now();
    await call();
    times.push((now() - before) * 1000);
  }
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}
