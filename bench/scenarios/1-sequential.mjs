import { atLeast, times } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const PEERS = [
  'ours',
  'raw-set',
  'raw-evalsha',
  'redis-semaphore-mutex',
  'redis-semaphore',
  'redlock',
  'redis-kit',
  'bottleneck',
  'simple-redis-mutex',
  'live-mutex',
  'live-mutex-fast',
];

export const scenario = {
  id: 1,
  async run(run) {
    const contenders = PEERS.map((peer) => ({ peer, load: 'sequential' }));
    const title = '1  One caller, one key: acquire and release in turn';
    return [await sideBySide(run, { title, contenders })];
  },
  goals: ([group]) => [
    atLeast('pairs/s to raw SET NX + EVALSHA', times(group, 'ours', 'raw-set'), 0.95, 'x'),
  ],
};
