import { atMost, figure, neverOverAdmitted } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const PEERS = [
  'ours',
  'redis-semaphore',
  'redis-semaphore-fast',
  'bottleneck',
  'live-mutex-fast',
  'async-semaphore',
  'p-limit',
];
const WORKERS = 200;
const PERMITS = 10;
const WORK_MS = 5;

export const scenario = {
  id: 4,
  async run(run) {
    const sections = Math.round((run.seconds * 1000 * PERMITS) / WORK_MS);
    const options = { workers: WORKERS, permits: PERMITS, workMs: WORK_MS, sections };
    const title = `4  Limit ${PERMITS}, ${WORKERS} waiters, ${WORK_MS} ms of work: ${sections} sections`;
    const contenders = PEERS.map((peer) => ({ peer, load: 'pool', options }));
    return [await sideBySide(run, { title, main: 'wallToIdeal', contenders })];
  },
  goals: (groups) => [
    atMost('wall time to the ideal one', figure(groups[0], 'ours', 'wallToIdeal'), 1.07, 'x'),
    atMost('commands a section', figure(groups[0], 'ours', 'commandsPerSection'), 8),
    neverOverAdmitted(groups),
  ],
};
