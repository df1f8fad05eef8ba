import { Redis } from 'ioredis';
import { SemaphoreService, SingleFlightService } from 'nestjs-semaphore';
import { filter, firstValueFrom } from 'rxjs';

const CHANNEL = 'hop';

/** The commands of a publication and nothing else: no checks, and nothing of them in Lua. */
const PUBLICATION = `
redis.call('time')
redis.call('get', KEYS[1])
redis.call('zrange', KEYS[3], 0, -1)
redis.call('publish', KEYS[5], ARGV[1])
redis.call('set', KEYS[2], ARGV[1], 'px', '10000', 'get')
redis.call('del', KEYS[3], KEYS[4])
redis.call('set', KEYS[1], 'idle', 'px', '5000')`;

export const peers = {
  'ours-flights': {
    name: 'nestjs-semaphore single flight',
    settings: 'defaults',
    backend: 'redis',
    open: async ({ port }) => {
      const semaphores = new SemaphoreService({ redis: `redis://127.0.0.1:${port}` });
      await semaphores.inspect('connected');
      const messages = await openMessages(port);
      const isQueued = (key) => (event) =>
        event.type === 'waiting' && event.key === `single-flight:${key}`;
      return {
        semaphores,
        flights: new SingleFlightService(semaphores),
        queued: (key) => firstValueFrom(semaphores.events.pipe(filter(isQueued(key)))),
        ...messages,
        async close() {
          await semaphores.close();
          messages.close();
        },
      };
    },
  },
};

/** The floors of a publication: a message alone, and one that its commands go with. */
async function openMessages(port) {
  const [publisher, subscriber] = [new Redis(port, '127.0.0.1'), new Redis(port, '127.0.0.1')];
  const sha = await publisher.script('LOAD', PUBLICATION);
  let hear = () => {};
  subscriber.on('message', () => hear());
  await subscriber.subscribe(CHANNEL);
  return {
    nextMessage: () => new Promise((resolve) => (hear = resolve)),
    /** @param key of a semaphore that a client waits for, as a flight's follower does */
    async queue(key) {
      await publisher.set(key, 'held', 'PX', 60_000);
      await publisher.zadd(`${key}:q`, 1, 'follower');
      await publisher.hset(`${key}:h`, 'follower', 1);
    },
    say: (text) => publisher.publish(CHANNEL, text),
    sayByScript: (text, key) =>
      publisher.evalsha(sha, 5, key, `${key}:r`, `${key}:q`, `${key}:h`, CHANNEL, text),
    close() {
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}
