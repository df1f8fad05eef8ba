import { atLeast, timesBest } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const LIMITS = ['raw-set', 'raw-set-auto', 'raw-evalsha', 'raw-evalsha-auto', 'raw-batch'];
const REDIS_PEERS = [
  'redis-semaphore-mutex',
  'redis-semaphore-mutex-fast',
  'redlock',
  'redlock-fast',
  'redis-kit',
  'bottleneck',
  'bottleneck-fast',
  'simple-redis-mutex',
];
const PEERS = ['ours', ...LIMITS, ...REDIS_PEERS, 'live-mutex-fast'];

export const scenario = {
  id: 2,
  async run(run) {
    const groups = [];
    for (const callers of [64, 256]) {
      const contenders = PEERS.map((peer) => ({ peer, load: 'ownKeys', options: { callers } }));
      const title = `2  ${callers} callers, each on its own key`;
      groups.push(await sideBySide(run, { title, contenders }));
    }
    return groups;
  },
  goals: ([few, many]) => [
    atLeast(
      '64 callers: pairs/s to the best Redis peer',
      timesBest(few, 'ours', REDIS_PEERS),
      2.2,
      'x',
    ),
    atLeast(
      '256 callers: pairs/s to the best Redis peer',
      timesBest(many, 'ours', REDIS_PEERS),
      5,
      'x',
    ),
  ],
};
