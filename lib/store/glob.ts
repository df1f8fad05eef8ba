type Step = '*' | ((character: string) => boolean);

/** Matches whole strings against a glob with `*`, `?`, `[ab]`, `[a-z]`, `[^a]` and `\` before a plain character. */
export function globMatcher(pattern: string): (text: string) => boolean {
  const steps = parse(Array.from(pattern));
  return (text) => matches(steps, Array.from(text));
}

/** Goes back to the last `*` only: earlier ones cannot help, so that no pattern takes exponential time. */
function matches(steps: readonly Step[], text: readonly string[]): boolean {
  let at = 0;
  let step = 0;
  let starStep = -1;
  let starAt = 0;
  while (at < text.length) {
    const next = steps[step];
    if (next === '*') {
      starStep = step++;
      starAt = at;
    } else if (next?.(text[at] ?? '')) {
      step++;
      at++;
    } else if (starStep >= 0) {
      step = starStep + 1;
      at = ++starAt;
    } else {
      return false;
    }
  }
  return steps.slice(step).every((left) => left === '*');
}

function parse(pattern: readonly string[]): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? '';
    if (character === '*') {
      steps.push('*');
    } else if (character === '?') {
      steps.push(() => true);
    } else if (character === '[') {
      const end = endOfSet(pattern, at + 1);
      steps.push(oneOf(pattern.slice(at + 1, end)));
      at = end;
    } else {
      const plain = character === '\\' ? (pattern[++at] ?? '\\') : character;
      steps.push((other) => other === plain);
    }
  }
  return steps;
}

/** Where the set's `]` is; a set that is never closed goes on to the end of the pattern. */
function endOfSet(pattern: readonly string[], start: number): number {
  let at = start;
  while (at < pattern.length && pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1;
  return at;
}

function oneOf(set: readonly string[]): Step {
  const isNegated = set[0] === '^';
  const ranges: [string, string][] = [];
  for (let at = isNegated ? 1 : 0; at < set.length; at++) {
    if (set[at] === '\\' && at + 1 < set.length) at++;
    const from = set[at] ?? '';
    const isRange = set[at + 1] === '-' && at + 2 < set.length;
    if (isRange) at += 2;
    const to = set[at] ?? '';
    ranges.push(from <= to ? [from, to] : [to, from]);
  }
  return (character) =>
    isNegated !== ranges.some(([from, to]) => from <= character && character <= to);
}
