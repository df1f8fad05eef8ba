import { expect, test } from '@jest/globals';
import { anchors, documents, links } from './readme.js';

test('the pages link to headings that there are', () => {
  const headings = documents.flatMap((page) =>
    anchors(page).map((anchor) => `${page.path}#${anchor}`),
  );
  const linked = links().flatMap(({ path, anchor }) => (anchor === '' ? [] : `${path}#${anchor}`));

  expect(linked.length).toBeGreaterThan(30);
  expect(headings).toEqual(expect.arrayContaining(linked));
});

test('README.md leads to every page', () => {
  const linked = new Set(links().map(({ path }) => path));

  for (const { path } of documents) expect(linked).toContain(path);
});
