import { atLeast, neverOverAdmitted, times } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const PEERS = ['ours-memory', 'async-mutex', 'p-limit'];

export const scenario = {
  id: 8,
  async run(run) {
    const group = (title, load, options) =>
      sideBySide(run, { title, contenders: PEERS.map((peer) => ({ peer, load, options })) });
    return [
      await group('8  In process: one caller, one key', 'sequential', {}),
      await group('8  In process: 64 callers, each on its own key', 'ownKeys', { callers: 64 }),
      await group('8  In process: a mutex, 50 waiters, no work', 'contended', { workers: 50 }),
    ];
  },
  goals: (groups) => {
    const share = (index) => times(groups[index], 'ours-memory', 'async-mutex');
    return [
      atLeast('one caller: pairs/s to async-mutex', share(0), 0.25, 'x'),
      atLeast('64 callers: pairs/s to async-mutex', share(1), 0.25, 'x'),
      atLeast('50 waiters: sections/s to async-mutex', share(2), 0.25, 'x'),
      neverOverAdmitted(groups),
    ];
  },
};
