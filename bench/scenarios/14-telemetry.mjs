import { atLeast, neverOverAdmitted, times } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const OBSERVED = {
  'ours-metrics': 'metrics',
  'ours-telemetry': 'metrics and spans',
  'ours-dashboard': 'metrics, open dashboard',
  'ours-observed': 'metrics and spans, open dashboard',
};
const PEERS = ['ours', ...Object.keys(OBSERVED)];

/** What is compared differs by little, and by less than a busy machine from one moment to the next. */
const ROUNDS = 2;

export const scenario = {
  id: 14,
  async run(run) {
    const rounds = { ...run, repeats: ROUNDS * run.repeats };
    const group = (title, load, options, processes = 1) =>
      sideBySide(rounds, {
        title: `14  With OpenTelemetry and an open dashboard: ${title}`,
        contenders: PEERS.map((peer) => ({
          peer,
          load,
          options,
          processes,
        })),
      });
    return [
      await group('one caller, one key', 'sequential', {}),
      await group('a mutex, 50 waiters in one process', 'contended', { workers: 50 }),
      await group('a mutex, 4 processes with 25 waiters each', 'contended', { workers: 25 }, 4),
    ];
  },
  goals: (groups) => [
    ...['one caller', '50 waiters', '4 processes'].flatMap((where, index) =>
      Object.entries(OBSERVED).map(([peer, what]) =>
        share(groups[index], `${where}: ${what}`, peer),
      ),
    ),
    neverOverAdmitted(groups),
  ],
};

function share(group, text, peer) {
  return atLeast(`${text}, to without`, times(group, peer, 'ours'), 0.9, 'x');
}
