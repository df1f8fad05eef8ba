import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../../..');

const text = readFileSync(join(root, 'README.md'), 'utf8');

/** A fenced block. */
export interface Block {
  language: string;
  text: string;
  /** What its first line, a comment, calls it: `src/main.ts`. */
  file: string | undefined;
}

export const blocks: readonly Block[] = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
  ([, language = '', body = '']) => ({
    language,
    text: body,
    file: /^(?:\/\/|--) (\S+\.\w+)\n/.exec(body)?.[1],
  }),
);

/** Blocks that are commands or settings, not files. */
export function blocksOf(language: string): string[] {
  return blocks
    .filter((block) => block.language === language && block.file === undefined)
    .map((block) => block.text.trim());
}

export type Row = Readonly<Record<string, string>>;

/** The rows of the first table below a heading, or of the one `skip` tables further down. */
export function table(heading: string, skip = 0): Row[] {
  const [, below] = text.split(`\n${heading}\n`);
  if (below === undefined) throw new Error(`README.md has no heading "${heading}"`);
  const lines = [...below.matchAll(/(?:^\|.*\|\n)+/gm)].at(skip)?.[0].trim().split('\n');
  if (lines === undefined) throw new Error(`README.md has no such table below "${heading}"`);
  const [head = [], , ...rows] = lines.map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
  return rows.map((cells) => Object.fromEntries(cells.map((cell, i) => [head[i] ?? '', cell])));
}

/** The text between the first pair of backticks; undefined without any. */
export function code(cell: string | undefined): string | undefined {
  return /`([^`]+)`/.exec(cell ?? '')?.[1];
}
