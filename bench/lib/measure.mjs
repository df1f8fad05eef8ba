/** @param {number[]} numbers */
export function median(numbers) {
  return percentile(numbers, 0.5);
}

/** @param {ArrayLike<number>} numbers @param {number} share between 0 and 1 */
export function percentile(numbers, share) {
  if (numbers.length === 0) return Number.NaN;
  const sorted = Float64Array.from(numbers).sort();
  const place = share * (sorted.length - 1);
  const low = sorted[Math.floor(place)];
  return low + (sorted[Math.ceil(place)] - low) * (place - Math.floor(place));
}

/** Median, smallest and largest of every figure over the repeats. */
export function summarise(repeats) {
  const names = new Set(repeats.flatMap((repeat) => Object.keys(repeat)));
  return Object.fromEntries(
    [...names].map((name) => {
      const values = repeats.map((repeat) => repeat[name]).filter(Number.isFinite);
      return [
        name,
        { median: median(values), min: Math.min(...values), max: Math.max(...values), values },
      ];
    }),
  );
}
