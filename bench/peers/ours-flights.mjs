import { Redis } from 'ioredis';
import { SemaphoreService, SingleFlightService } from 'nestjs-semaphore';
import { filter, firstValueFrom } from 'rxjs';
import { now } from '../lib/clock.mjs';

const PUBLISH = "return redis.call('publish', KEYS[1], ARGV[1])";

export const peers = {
  'ours-flights': {
    name: 'nestjs-semaphore single flight',
    settings: 'defaults',
    backend: 'redis',
    open: async ({ port }) => {
      const [leader, follower] = await Promise.all([open(port), open(port)]);
      const messages = await openMessages(port);
      const close = async () => {
        await Promise.all([leader.semaphores.close(), follower.semaphores.close()]);
        messages.close();
      };
      return { leader, follower, hop: messages.hop, close };
    },
  },
};

/** To Redis, each is a process of its own. */
async function open(port) {
  const semaphores = new SemaphoreService({ redis: `redis://127.0.0.1:${port}` });
  await semaphores.inspect('connected');
  const isQueued = (key) => (event) =>
    event.type === 'waiting' && event.key === `single-flight:${key}`;
  return {
    semaphores,
    flights: new SingleFlightService(semaphores),
    queued: (key) => firstValueFrom(semaphores.events.pipe(filter(isQueued(key)))),
  };
}

async function openMessages(port) {
  const [publisher, subscriber] = [new Redis(port, '127.0.0.1'), new Redis(port, '127.0.0.1')];
  const sha = await publisher.script('LOAD', PUBLISH);
  let hear;
  subscriber.on('message', () => hear(now()));
  await subscriber.subscribe('hop');
  return {
    /** Microseconds from a script's call to the message that it publishes. */
    async hop() {
      const heard = new Promise((resolve) => (hear = resolve));
      const startedAt = now();
      const reply = publisher.evalsha(sha, 1, 'hop', 'x');
      const heardAt = await heard;
      await reply;
      return (heardAt - startedAt) * 1000;
    },
    close() {
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}
