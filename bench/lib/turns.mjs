import { summarise } from './measure.mjs';

/** Until they are measured, nobody minds company. */
const PREPARED_AT_ONCE = 2;

/**
 * @typedef {object} Turner somebody who is measured in turns with others
 * @property {string} id @property {string} name as shown
 * @property {string} [peer] whose settings these are, where the name says something else
 * @property {string} [settings]
 * @property {() => Promise<unknown>} open
 * @property {(repeat: number | 'warm') => Promise<Record<string, number>>} measure the figures of one repeat
 * @property {() => Promise<unknown>} close
 * @property {Map<string, number>} [problems] errors of calls, and how often each came
 */

/**
 * Every repeat measures everybody once and starts with another one. Who fails is out, and shown as failing; the others
 * go on.
 * @param {{ repeats: number }} run
 * @param {{ title: string, main?: string, turners: Turner[] }} group `main` is the figure shown with its spread
 */
export async function takeTurns({ repeats }, { title, main = 'perSecond', turners }) {
  const entries = turners.map((turner) => ({ turner, repeats: [], failure: undefined }));
  try {
    for (let from = 0; from < entries.length; from += PREPARED_AT_ONCE) {
      const some = entries.slice(from, from + PREPARED_AT_ONCE);
      await Promise.all(some.map((entry) => attempt(entry, () => prepare(entry.turner))));
    }
    for (let repeat = 0; repeat < repeats; repeat++) {
      const first = Math.floor((repeat * entries.length) / repeats);
      for (const entry of [...entries.slice(first), ...entries.slice(0, first)]) {
        await attempt(entry, async () => {
          entry.repeats[repeat] = await entry.turner.measure(repeat);
        });
      }
    }
  } finally {
    await Promise.all(turners.map((turner) => turner.close()));
  }
  return { title, main, rows: entries.map(toRow) };
}

async function prepare(turner) {
  await turner.open();
  await turner.measure('warm');
}

/** Those that are not timed: everybody at the same time, once. */
export async function allAtOnce({ title, main, turners }) {
  const entries = turners.map((turner) => ({ turner, repeats: [], failure: undefined }));
  try {
    for (const entry of entries) await attempt(entry, () => entry.turner.open());
    await Promise.all(
      entries.map((entry, index) =>
        attempt(entry, async () => {
          entry.repeats[0] = await entry.turner.measure(index);
        }),
      ),
    );
  } finally {
    await Promise.all(turners.map((turner) => turner.close()));
  }
  return { title, main, rows: entries.map(toRow) };
}

async function attempt(entry, step) {
  if (entry.failure !== undefined) return;
  try {
    await step();
  } catch (error) {
    entry.failure = error.message;
  }
}

function toRow({ turner, repeats, failure }) {
  const { id, name, peer = name, settings = '', problems = new Map() } = turner;
  const measured = repeats.filter(Boolean);
  return {
    id,
    name,
    peer,
    settings,
    repeats,
    figures: summarise(measured),
    failure,
    problems: [...problems].map(([error, count]) => `${count} calls failed: ${error}`),
  };
}
