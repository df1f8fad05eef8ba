import { atLeast, atMost, figure, neverOverAdmitted, times, timesBest } from '../lib/goals.mjs';
import { sideBySide } from '../lib/side-by-side.mjs';

const REDIS_PEERS = [
  'redis-semaphore-mutex',
  'redis-semaphore-mutex-fast',
  'redis-semaphore',
  'redlock',
  'redlock-patient',
  'redlock-fast',
  'redis-kit',
  'redis-kit-fast',
  'bottleneck',
  'simple-redis-mutex',
];
const PEERS = ['ours', ...REDIS_PEERS, 'live-mutex', 'live-mutex-fast'];
const FEW_PEERS = [
  'redis-semaphore-mutex',
  'redis-semaphore-mutex-fast',
  'redlock-patient',
  'redlock-fast',
  'bottleneck',
  'live-mutex-fast',
];
const BROKERS = ['live-mutex', 'live-mutex-fast'];
const LOCAL = 'ours-local-passes';

/** Among the others, so that a hand-off is compared with the round trips of the same minute. */
const ROUND_TRIP = {
  peer: 'raw-evalsha',
  id: 'round-trip',
  label: 'raw EVALSHA and its reply',
  load: 'floors',
  always: true,
  options: { asHandOff: true },
};

/** So many that a first round takes a while, and a difference of one round is one of many. */
const MANY = { leadSeconds: 0.5, rounds: 5 };

function group(run, workers, processes, peers, { leadSeconds = 0, rounds = 1 } = {}) {
  const title =
    processes === 1
      ? `3  A mutex, ${workers} waiters in one process, no work`
      : `3  A mutex, ${processes} processes with ${workers} waiters each, no work`;
  return sideBySide(run, {
    title,
    contenders: [
      ...peers.map((peer) => ({
        peer,
        load: 'contended',
        options: { workers, leadSeconds, seconds: rounds * run.seconds },
        processes,
      })),
      ROUND_TRIP,
    ],
  });
}

export const scenario = {
  id: 3,
  async run(run) {
    const floors = await sideBySide(run, {
      title: '3  Round trips: the floor of a hand-off',
      main: 'evalshaUs',
      contenders: [{ peer: 'raw-evalsha', load: 'floors', always: true }],
    });
    return [
      floors,
      await group(run, 50, 1, [...PEERS, LOCAL, 'async-mutex', 'p-limit']),
      await group(run, 500, 1, ['ours', ...FEW_PEERS, 'redlock'], MANY),
      await group(run, 25, 4, ['ours', ...FEW_PEERS, LOCAL]),
    ];
  },
  goals: (groups) => {
    const [, few, many, processes] = groups;
    return [
      ...fairness('50 waiters', few),
      ...fairness('500 waiters', many),
      atMost('500 waiters: starved', figure(many, 'ours', 'starved'), 0),
      atMost('500 waiters: commands a section', figure(many, 'ours', 'commandsPerSection'), 8),
      atLeast(
        '4 processes: sections/s to bottleneck',
        times(processes, 'ours', 'bottleneck'),
        15,
        'x',
      ),
      atLeast(
        '4 processes: sections/s to the best Redis peer',
        timesBest(processes, 'ours', REDIS_PEERS),
        1,
        'x',
      ),
      atLeast(
        'localPasses: sections/s to redis-semaphore',
        times(few, LOCAL, 'redis-semaphore-mutex'),
        50,
        'x',
      ),
      atLeast(
        'localPasses, 4 processes: sections/s to redis-semaphore',
        times(processes, LOCAL, 'redis-semaphore-mutex'),
        50,
        'x',
      ),
      neverOverAdmitted(groups),
    ];
  },
};

function fairness(what, group) {
  const roundTripUs = figure(group, 'round-trip', 'handOffP50');
  const p99Us = figure(group, 'ours', 'handOffP99');
  return [
    atLeast(`${what}: sections/s to bottleneck`, times(group, 'ours', 'bottleneck'), 20, 'x'),
    atLeast(`${what}: sections/s to live-mutex`, timesBest(group, 'ours', BROKERS), 1.1, 'x'),
    atLeast(`${what}: slowest to fastest worker`, figure(group, 'ours', 'slowestToFastest'), 0.95),
    atMost(
      `${what}: hand-off p50 in EVALSHA round trips`,
      times(group, 'ours', 'round-trip', 'handOffP50'),
      1.1,
      'x',
    ),
    atMost(`${what}: hand-off p99 in EVALSHA round trips`, p99Us / roundTripUs, 2, 'x'),
  ];
}
