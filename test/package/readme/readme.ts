import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

export const root = join(import.meta.dirname, '../../..');

const pageAt = (path: string): Page => ({ path, text: readFileSync(join(root, path), 'utf8') });

/** README.md and what it leads to. */
export const documents: readonly Page[] = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].map(pageAt);

/** Those for users; that of the benchmark is for those who work on this package. */
export const pages = documents.filter(({ path }) => path !== 'docs/performance.md');

const text = pages.map((page) => page.text).join('\n');

export interface Page {
  /** Below the root of the package. */
  path: string;
  text: string;
}

/** What the documents link to within the package: the file below its root, and the heading in it. */
export function links(): { path: string; anchor: string }[] {
  return documents.flatMap(({ path, text }) =>
    [...text.matchAll(/(?<!!)\[[^\]]*\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)].map(
      ([, file = '', anchor = '']) => ({
        path: file === '' ? path : posix.join(posix.dirname(path), file),
        anchor,
      }),
    ),
  );
}

/** What a link to a heading of it ends with, as GitHub makes it. */
export function anchors({ text }: Page): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

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
  if (below === undefined) throw new Error(`No page has the heading "${heading}"`);
  const lines = [...below.matchAll(/(?:^\|.*\|\n)+/gm)].at(skip)?.[0].trim().split('\n');
  if (lines === undefined) throw new Error(`There is no such table below "${heading}"`);
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
