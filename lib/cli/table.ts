import { printable, shortened, widthOf } from './text.js';

export interface Column<Row> {
  title: string;
  value: (row: Row) => string;
  /** Numbers stand right. */
  alignRight?: boolean;
  /** May be shortened, and left out where there is no room at all. */
  isFlexible?: boolean;
}

const GAP = '  ';
const LEAST_WIDTH = 8;

/** Lines of at most `width` columns; the first has the titles. */
export function tableOf<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
): string[] {
  const cells = rows.map((row) => columns.map(({ value }) => printable(value(row))));
  const widths = columns.map(({ title }, i) =>
    Math.max(widthOf(title), ...cells.map((line) => widthOf(line[i] as string))),
  );
  fit(widths, columns, width);
  const shown = columns.map((_, i) => i).filter((i) => (widths[i] as number) > 0);
  const lineOf = (line: readonly string[]): string =>
    shown
      .map((i) => aligned(line[i] as string, widths[i] as number, columns[i]?.alignRight === true))
      .join(GAP)
      .trimEnd();
  return [lineOf(columns.map(({ title }) => title)), ...cells.map(lineOf)];
}

/** Takes from the widest flexible columns until all fit. */
function fit(
  widths: number[],
  columns: readonly Pick<Column<unknown>, 'title' | 'isFlexible'>[],
  width: number,
): void {
  for (;;) {
    const used = widths.filter((each) => each > 0);
    const excess = used.reduce((sum, each) => sum + each, (used.length - 1) * GAP.length) - width;
    const flexible = columns
      .map((_, i) => i)
      .filter((i) => columns[i]?.isFlexible === true && (widths[i] as number) > 0);
    if (excess <= 0 || flexible.length === 0) return;
    const widest = flexible.reduce((a, b) =>
      (widths[b] as number) >= (widths[a] as number) ? b : a,
    );
    const least = Math.max(LEAST_WIDTH, widthOf(columns[widest]?.title ?? ''));
    if ((widths[widest] as number) > least) widths[widest] = (widths[widest] as number) - 1;
    else widths[flexible.at(-1) as number] = 0;
  }
}

function aligned(text: string, width: number, alignRight: boolean): string {
  const short = shortened(text, width);
  const space = ' '.repeat(width - widthOf(short));
  return alignRight ? space + short : short + space;
}
