import { loadPeer } from '../peers/registry.mjs';
import { Contestant } from './contestants.mjs';
import { analyse } from './sections.mjs';
import { takeTurns } from './turns.mjs';

/**
 * The compiler of V8 takes on what ran some thousand times, in each process anew: where four of them hand one permit
 * round, much later than where one has it for itself.
 */
const WARM_UP = { seconds: 1, sections: 500 };
const WARM_SECTIONS = 6_000;
/** Before each measurement: who rests while others are measured finds its code and data out of the processor's caches. */
const LEAD = { seconds: 0.25, sections: 500, leadSeconds: 0 };
/** Nobody warms up for much longer: some let each other wait for seconds. */
const LONGEST_WARM_UP_MS = 3_000;
const EXTRA_TIME_MS = 20_000;

/**
 * Puts the same load on several contenders, in turns.
 * @param {object} run settings of this run
 * @param {{ title: string, main?: string, contenders: object[] }} group each contender says `peer`, `load`, `options`,
 *   and `always` when it stays in whatever peers were asked for
 */
export async function sideBySide(run, { contenders, ...group }) {
  const wanted = contenders.filter(({ peer, always }) => always || run.includes(peer));
  return takeTurns(run, {
    ...group,
    turners: await Promise.all(wanted.map((one) => turnerOf(one, run))),
  });
}

/** @param {{ peer: string, id?: string, label?: string, load: string, options?: object, processes?: number, masters?: number }} wanted */
async function turnerOf(wanted, run) {
  const { name, settings } = await loadPeer(wanted.peer);
  const problems = new Map();
  let contestant;
  return {
    id: wanted.id ?? wanted.peer,
    name: wanted.label ?? name,
    peer: name,
    settings,
    problems,
    open: async () => {
      contestant = await Contestant.open(wanted, run);
    },
    measure: async (repeat) => {
      if (repeat === 'warm') return warmUp(contestant, wanted, problems);
      const options = { seconds: run.seconds, ...wanted.options, key: `k${repeat}` };
      await measure(contestant, wanted.load, { ...options, ...LEAD }, problems);
      return measure(contestant, wanted.load, options, problems);
    },
    close: async () => contestant?.close(),
  };
}

async function warmUp(contestant, { load, options, processes = 1 }, problems) {
  const warm = { ...options, ...WARM_UP, key: 'warm' };
  const endsAt = Date.now() + LONGEST_WARM_UP_MS;
  let sections = 0;
  do {
    const figures = await measure(contestant, load, warm, problems);
    // What has no sections is warm after the first.
    sections += figures.sections ?? Infinity;
  } while (sections < WARM_SECTIONS * processes && Date.now() < endsAt);
}

async function measure(contestant, load, options, problems) {
  const before = await contestant.stats();
  const results = await contestant.run(
    load,
    options,
    ((options.leadSeconds ?? 0) + options.seconds) * 1000 + EXTRA_TIME_MS,
  );
  const after = await contestant.stats();
  for (const { failed, error } of results) {
    if (error !== undefined) problems.set(error, (problems.get(error) ?? 0) + failed);
  }
  const figures = figuresOf(results, { permits: 1, ...options });
  const spent = costs(results, before, after, figures.sections);
  return { ...figures, ...spent, failed: failures(results) };
}

function figuresOf(results, options) {
  if (results[0].log === undefined) return { ...results[0] };
  const { workers, permits, workMs, sections } = options;
  const startedAt = Math.max(...results.map((result) => result.startedAt));
  const { wallMs } = results[0];
  const seconds = wallMs === undefined ? options.seconds : wallMs / 1000;
  const figures = analyse(
    results.map(({ log }) => log),
    { workers: workers * results.length, permits, startedAt, seconds },
  );
  if (wallMs === undefined) return figures;
  return { ...figures, wallToIdeal: wallMs / ((sections * workMs) / permits) };
}

/** What the contender's processes and its own Redis had to do for one section. */
function costs(results, before, after, sections) {
  if (!(sections > 0)) return {};
  const ownCpuUs = results.reduce((total, result) => total + result.ownCpuUs, 0);
  const ownCpuUsPerSection = ownCpuUs / sections;
  if (before.commands === undefined) return { ownCpuUsPerSection };
  return {
    ownCpuUsPerSection,
    commandsPerSection: (after.commands - before.commands) / sections,
    cpuUsPerSection: (after.cpuUs - before.cpuUs) / sections,
    redisMb: after.bytes / 1e6,
  };
}

function failures(results) {
  return results.reduce((total, { failed = 0 }) => total + failed, 0);
}
