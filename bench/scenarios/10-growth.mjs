import { atLeast, flatness, neverOverAdmitted, times } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const KEYS = [10, 100, 1000, 10_000];
const WAITERS = [5, 50, 500, 5000];
const PROCESSES = [1, 2, 4, 8];
const MASTERS = [1, 3];
const WORKERS = 25;
/** Less than this is more than noise. */
const FLAT = 0.8;

const sizes = (counts, what, contender) =>
  counts.map((count) => ({
    peer: 'ours',
    id: `ours-${count}`,
    label: `${count.toLocaleString('en-US')} ${what}`,
    ...contender(count),
  }));

export const scenario = {
  id: 10,
  run: async (run) => [
    await sideBySide(run, {
      title: '10 Growth: 10 callers go round more and more keys',
      contenders: sizes(KEYS, 'keys', (keys) => ({
        load: 'ownKeys',
        options: { callers: 10, keys },
      })),
    }),
    await sideBySide(run, {
      title: '10 Growth: more and more waiters of one mutex, no work',
      contenders: sizes(WAITERS, 'waiters', (workers) => ({
        load: 'contended',
        options: { workers, leadSeconds: 1 },
      })),
    }),
    await sideBySide(run, {
      title: `10 Growth: more and more processes with ${WORKERS} waiters each of one mutex, no work`,
      contenders: sizes(PROCESSES, 'processes', (processes) => ({
        load: 'contended',
        options: { workers: WORKERS },
        processes,
      })),
    }),
    await sideBySide(run, {
      title: '10 Growth: Cluster, 256 callers with their own keys',
      contenders: sizes(MASTERS, 'masters', (masters) => ({
        load: 'ownKeys',
        options: { callers: 256 },
        masters,
      })),
    }),
  ],
  goals: (groups) => {
    const [keys, waiters, , cluster] = groups;
    return [
      atLeast('10 to 10,000 keys: pairs/s, least to most', flatness(keys.rows, 'perSecond'), FLAT),
      atLeast(
        '10 to 10,000 keys: commands a pair, least to most',
        flatness(keys.rows, 'commandsPerSection'),
        FLAT,
      ),
      atLeast(
        '5 to 5,000 waiters: sections/s, least to most',
        flatness(waiters.rows, 'perSecond'),
        FLAT,
      ),
      atLeast(
        '5 to 5,000 waiters: commands a section, least to most',
        flatness(waiters.rows, 'commandsPerSection'),
        FLAT,
      ),
      atLeast(
        'three Cluster masters to one (needs a core for each)',
        times(cluster, 'ours-3', 'ours-1'),
        1,
        'x',
      ),
      neverOverAdmitted(groups),
    ];
  },
};
