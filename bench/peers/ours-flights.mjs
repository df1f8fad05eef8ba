import { filter, firstValueFrom } from 'rxjs';
import { SemaphoreService, SingleFlightService } from 'nestjs-semaphore';

export const peers = {
  'ours-flights': {
    name: 'nestjs-semaphore single flight',
    settings: 'defaults',
    backend: 'redis',
    open: async ({ port }) => {
      const [leader, follower] = await Promise.all([open(port), open(port)]);
      const close = () => Promise.all([leader.semaphores.close(), follower.semaphores.close()]);
      return { leader, follower, close };
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
