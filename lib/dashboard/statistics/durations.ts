/** Four cells an octave: a quantile is off by at most 9 %. */
const CELLS_PER_OCTAVE = 4;

/** A histogram of milliseconds that keeps counts, never single values. */
export class Durations {
  private readonly cells = new Map<number, number>();
  private total = 0;

  add(ms: number): void {
    const cell = ms < 1 ? 0 : 1 + Math.floor(Math.log2(ms) * CELLS_PER_OCTAVE);
    this.put(cell, 1);
  }

  addAll(other: Durations): void {
    for (const [cell, count] of other.cells) this.put(cell, count);
  }

  /** @param quantiles ascending, from 0 to 1. @returns null for each when nothing was added */
  quantiles(quantiles: readonly number[]): (number | null)[] {
    if (this.total === 0) return quantiles.map(() => null);
    const cells = [...this.cells].sort(([a], [b]) => a - b);
    let index = 0;
    let seen = cells[0]?.[1] ?? 0;
    return quantiles.map((quantile) => {
      while (seen < quantile * this.total && index < cells.length - 1) {
        seen += cells[++index]?.[1] ?? 0;
      }
      return middleOf(cells[index]?.[0] ?? 0);
    });
  }

  private put(cell: number, count: number): void {
    this.cells.set(cell, (this.cells.get(cell) ?? 0) + count);
    this.total += count;
  }
}

function middleOf(cell: number): number {
  return cell === 0 ? 0 : Math.round(2 ** ((cell - 0.5) / CELLS_PER_OCTAVE) * 10) / 10;
}
