const MOST_WRONG = 2;
const LEAST_BEGINNING = 3;

/** The name that somebody meant who wrote `given`: the only one that begins so, or one that is hardly another. */
export function didYouMean(given: string, names: readonly string[]): string | undefined {
  const start = given.toLowerCase();
  const begun = names.filter((name) => name.toLowerCase().startsWith(start));
  if (begun.length === 1 && start.length >= LEAST_BEGINNING) return begun[0];
  const most = Math.min(MOST_WRONG, given.length / 2);
  const [best] = names
    .map((name) => ({ name, wrong: distance(given.toLowerCase(), name.toLowerCase()) }))
    .filter(({ wrong }) => wrong <= most)
    .toSorted((a, b) => a.wrong - b.wrong);
  return best?.name;
}

/** How many letters have to be added, left out or replaced (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...to].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
