import { neverOverAdmitted } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const PEERS = ['ours', 'ours-local-passes', 'redis-semaphore', 'redis-semaphore-fast'];
const PERMITS = [1, 10, 100];
const WORKERS = 200;

export const scenario = {
  id: 11,
  async run(run) {
    const groups = [];
    for (const permits of PERMITS) {
      groups.push(
        await sideBySide(run, {
          title: `11 Hot key: limit ${permits}, ${WORKERS} callers in one process, no work`,
          contenders: PEERS.map((peer) => ({
            peer,
            load: 'contended',
            options: { workers: WORKERS, permits },
          })),
        }),
      );
    }
    return groups;
  },
  goals: (groups) => [neverOverAdmitted(groups)],
};
