/**
 * Where the last item stands that fits, in a list whose first ones fit and whose others do not; -1 when none does. Looks at few
 * of them.
 */
export function lastIndexThatFits<T>(items: readonly T[], fits: (item: T) => boolean): number {
  let last = -1;
  let end = items.length;
  while (end - last > 1) {
    const middle = (last + end) >> 1;
    if (fits(items[middle] as T)) last = middle;
    else end = middle;
  }
  return last;
}
