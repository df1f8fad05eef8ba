/** One time that somebody held a permit. Times are milliseconds of CLOCK_MONOTONIC, the same for all processes of a machine. */
export interface HistoryEntry {
  key: string;
  id: string;
  label: string;
  pid: number;
  weight: number;
  permits: number;
  priority: number;
  fencingToken: number;
  askedAt: number;
  /** After the permit was had, and before it was given back: while it was certainly held. */
  enteredAt: number;
  leftAt: number;
}

/** When the store saw a request. */
export interface Arrival {
  order: number;
  /** Epoch milliseconds by the store's clock. */
  at: number;
}

/** Times at which the weights held added up to more than the limit. */
export function overTheLimit(history: readonly HistoryEntry[]): string[] {
  const steps = history.flatMap(({ enteredAt, leftAt, weight, permits, label }) => [
    { at: enteredAt, weight, permits, label },
    { at: leftAt, weight: -weight, permits, label },
  ]);
  // Who leaves at the very time at which another enters was there before.
  steps.sort((a, b) => a.at - b.at || a.weight - b.weight);
  const wrong: string[] = [];
  let held = 0;
  for (const { at, weight, permits, label } of steps) {
    held += weight;
    if (held > permits) wrong.push(`${held} of ${permits} held at ${at}, when ${label} entered`);
  }
  return wrong;
}

/** Who got a token twice, or a smaller one than somebody who was in before they asked. */
export function tokensThatDoNotGrow(history: readonly HistoryEntry[]): string[] {
  const wrong: string[] = [];
  const tokens = new Set(history.map(({ fencingToken }) => fencingToken));
  if (tokens.size !== history.length) {
    wrong.push(`${history.length - tokens.size} tokens were given twice`);
  }
  const byEntry = history.toSorted((a, b) => a.enteredAt - b.enteredAt);
  let entered = 0;
  let last = 0;
  for (const { label, askedAt, fencingToken } of history.toSorted(
    (a, b) => a.askedAt - b.askedAt,
  )) {
    for (
      let before = byEntry[entered];
      before && before.enteredAt < askedAt;
      before = byEntry[++entered]
    ) {
      last = Math.max(last, before.fencingToken);
    }
    if (fencingToken <= last) wrong.push(`${label} has token ${fencingToken} after ${last}`);
  }
  return wrong;
}

/**
 * MONITOR's time of a command is earlier than the time within its script, by as long as the server had to wait for a
 * processor in between; and one command asks for many permits, one after another.
 */
const DESCHEDULED_MS = 100;

/**
 * Who was served before somebody of the same priority whom the store had seen earlier, or while it knew of
 * somebody of a higher priority.
 */
export function outOfTurn(
  history: readonly HistoryEntry[],
  arrivals: ReadonlyMap<string, Arrival>,
): string[] {
  const served = history
    .map((entry) => ({ ...entry, arrival: arrivals.get(entry.label) }))
    .toSorted((a, b) => a.fencingToken - b.fencingToken);
  const wrong = served
    .filter(({ arrival }) => arrival === undefined)
    .map(({ label }) => `${label} was served, but the store has never seen it`);
  // From the last one served to the first: who, of each priority, arrived first of those served later?
  const earliest = new Map<number, { label: string; arrival: Arrival }>();
  for (const { label, priority, fencingToken, arrival } of served.toReversed()) {
    if (arrival === undefined) continue;
    for (const [otherPriority, other] of earliest) {
      const passed =
        otherPriority === priority
          ? other.arrival.order < arrival.order
          : otherPriority > priority && other.arrival.at < fencingToken / 1000 - DESCHEDULED_MS;
      if (passed)
        wrong.push(
          `${label} (priority ${priority}) was served before ${other.label} (priority ${otherPriority})`,
        );
    }
    const first = earliest.get(priority);
    if (first === undefined || arrival.order < first.arrival.order) {
      earliest.set(priority, { label, arrival });
    }
  }
  return wrong;
}

/**
 * The longest time for which somebody waited although everything that anybody may ask for was free: time in which a
 * hand-off was late.
 */
export function longestStall(history: readonly HistoryEntry[], maxWeight: number): number {
  const steps = history.flatMap(({ askedAt, enteredAt, leftAt, weight, permits }) => [
    { at: askedAt, waiting: 1, held: 0, permits },
    { at: enteredAt, waiting: -1, held: weight, permits },
    { at: leftAt, waiting: 0, held: -weight, permits },
  ]);
  steps.sort((a, b) => a.at - b.at);
  let [waiting, held, longest] = [0, 0, 0];
  let since: number | undefined;
  for (const step of steps) {
    waiting += step.waiting;
    held += step.held;
    const stalls = waiting > 0 && step.permits - held >= maxWeight;
    if (since !== undefined) longest = Math.max(longest, step.at - since);
    since = stalls ? (since ?? step.at) : undefined;
  }
  return longest;
}
