import { RecentMap } from '../recent-map.js';

/** What a glob wants in one place of the text. */
type Step = (character: string) => boolean;

interface Glob {
  steps: Step[];
  /** How many steps there are before each `*`. */
  stars: number[];
}

/** In one number of {@link Places}. */
const BITS = 32;
/** Characters of which it is known which steps take them. */
const KNOWN_CHARACTERS = 500;

/** A set of numbers of steps: how many may have been taken. */
type Places = Int32Array;

/**
 * Matches whole strings against a glob with `*`, `?`, `[ab]`, `[a-z]`, `[^a]` and `\` before a plain character. Takes a time
 * that grows with the lengths of both, whatever they are: all ways to match are followed at once.
 * @param isWanted what else a string must be; asked before it is compared
 */
export function globMatcher(
  pattern: string,
  isWanted: (text: string) => boolean = () => true,
): (text: string) => boolean {
  const { steps, stars } = parse(Array.from(pattern));
  const size = Math.floor(steps.length / BITS) + 1;
  const staying = placesOf(size, stars);
  const taking = new RecentMap((character) => {
    const takers = steps.flatMap((step, place) => (step(character) ? [place] : []));
    return placesOf(size, takers);
  }, KNOWN_CHARACTERS);
  const takesAnyEnd = stars.at(-1) === steps.length;
  return (text) => {
    if (!isWanted(text)) return false;
    const places = placesOf(size, [0]);
    for (const character of text) {
      if (takesAnyEnd && hasPlace(places, steps.length)) break;
      advance(places, taking.get(character), staying);
    }
    return hasPlace(places, steps.length);
  };
}

/** From each place whose step takes the character to the next one; and where a `*` is, one may stay as well. */
function advance(places: Places, taking: Places, staying: Places): void {
  let carried = 0;
  for (let i = 0; i < places.length; i++) {
    const at = places[i] as number;
    const taken = at & (taking[i] as number);
    places[i] = (taken << 1) | carried | (at & (staying[i] as number));
    carried = taken >>> (BITS - 1);
  }
}

function placesOf(size: number, numbers: readonly number[]): Places {
  const places = new Int32Array(size);
  for (const number of numbers) {
    const i = Math.floor(number / BITS);
    places[i] = (places[i] as number) | (1 << (number % BITS));
  }
  return places;
}

function hasPlace(places: Places, number: number): boolean {
  return ((places[Math.floor(number / BITS)] as number) & (1 << (number % BITS))) !== 0;
}

function parse(pattern: readonly string[]): Glob {
  const steps: Step[] = [];
  const stars: number[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? '';
    if (character === '*') {
      stars.push(steps.length);
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
  return { steps, stars };
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
