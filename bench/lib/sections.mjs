import { percentile } from './measure.mjs';

const FIELDS = 3;

/** Notes when which worker entered and left; cheap enough for a million sections a second. */
export class SectionLog {
  #entries = new Float64Array(FIELDS * 4096);
  #size = 0;

  add(enteredAt, leftAt, worker) {
    if (this.#size === this.#entries.length) {
      const larger = new Float64Array(this.#size * 2);
      larger.set(this.#entries);
      this.#entries = larger;
    }
    this.#entries[this.#size++] = enteredAt;
    this.#entries[this.#size++] = leftAt;
    this.#entries[this.#size++] = worker;
  }

  get count() {
    return this.#size / FIELDS;
  }

  take() {
    return this.#entries.slice(0, this.#size);
  }
}

/**
 * What the logs of all processes together say. "Left" is noted before the release is asked for and "entered" after the
 * acquisition is known, so sections that overlap beyond the limit were wrong for certain.
 */
export function analyse(logs, { workers, permits, startedAt, seconds }) {
  const sections = inOrder(logs);
  const perWorker = new Float64Array(workers);
  const handOffs = [];
  let inWindow = 0;
  let changes = 0;
  const endsAt = startedAt + seconds * 1000;
  for (let index = 0; index < sections.length; index += FIELDS) {
    const enteredAt = sections[index];
    const worker = sections[index + 2];
    if (enteredAt < startedAt) continue;
    if (enteredAt > endsAt) break;
    inWindow++;
    perWorker[worker]++;
    if (index === 0 || sections[index - 1] === worker) continue;
    changes++;
    if (permits === 1) handOffs.push((enteredAt - sections[index - 2]) * 1000);
  }
  return {
    perSecond: inWindow / seconds,
    changesPerSecond: changes / seconds,
    handOffP50: percentile(handOffs, 0.5),
    handOffP99: percentile(handOffs, 0.99),
    slowestToFastest: Math.min(...perWorker) / Math.max(1, ...perWorker),
    starved: perWorker.filter((count) => count === 0).length,
    overAdmitted: countOverAdmissions(sections, permits),
    sections: sections.length / FIELDS,
  };
}

/** How many sections began while `permits` others were under way. */
function countOverAdmissions(sections, permits) {
  const entered = sections.filter((_value, index) => index % FIELDS === 0);
  const left = sections.filter((_value, index) => index % FIELDS === 1).sort();
  let over = 0;
  let ended = 0;
  for (let index = 0; index < entered.length; index++) {
    while (ended < left.length && left[ended] <= entered[index]) ended++;
    if (index + 1 - ended > permits) over++;
  }
  return over;
}

function inOrder(logs) {
  if (logs.length === 1 && isSorted(logs[0])) return logs[0];
  const all = new Float64Array(logs.reduce((total, log) => total + log.length, 0));
  let offset = 0;
  for (const log of logs) {
    all.set(log, offset);
    offset += log.length;
  }
  const order = Uint32Array.from({ length: all.length / FIELDS }, (_, index) => index * FIELDS);
  order.sort((one, other) => all[one] - all[other]);
  const sorted = new Float64Array(all.length);
  order.forEach((from, index) => sorted.set(all.subarray(from, from + FIELDS), index * FIELDS));
  return sorted;
}

function isSorted(log) {
  for (let index = FIELDS; index < log.length; index += FIELDS) {
    if (log[index] < log[index - FIELDS]) return false;
  }
  return true;
}
