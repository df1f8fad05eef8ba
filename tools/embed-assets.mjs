/**
 * Writes the files of the dashboard's page into one TypeScript module: so they are found in a bundle too. uPlot is copied out of
 * node_modules, with its licence and as a module, into the sources first: the page loads nothing from elsewhere, and its users
 * install nothing more.
 */
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';

const root = new URL('../', import.meta.url);
const folder = new URL('lib/dashboard/assets/', root);
const uplot = new URL('node_modules/uplot/', root);

const script = await readFile(new URL('dist/uPlot.iife.min.js', uplot), 'utf8');
await writeIfChanged('uplot.js', `${script.trimEnd()}\nexport default uPlot;\n`);
await writeIfChanged('uplot.css', await readFile(new URL('dist/uPlot.min.css', uplot), 'utf8'));
await writeIfChanged('uplot-license.txt', await readFile(new URL('LICENSE', uplot), 'utf8'));

const names = (await readdir(folder)).filter((name) => /\.(html|css|js|svg|txt)$/.test(name));
const entries = names.sort().map(async (name) => {
  const text = await readFile(new URL(name, folder), 'utf8');
  return `  ${JSON.stringify(name)}: ${JSON.stringify(text)},\n`;
});
await writeIfChanged(
  'embedded.ts',
  `// Generated from the files of this folder by tools/embed-assets.mjs. Do not edit.\n
export const ASSETS: Readonly<Record<string, string>> = {\n${(await Promise.all(entries)).join('')}};\n`,
);

/** Never half-written: others may read it now. */
async function writeIfChanged(name, text) {
  const file = new URL(name, folder);
  if ((await readFile(file, 'utf8').catch(() => undefined)) === text) return;
  const draft = new URL(`${name}.${process.pid}.tmp`, folder);
  await writeFile(draft, text);
  await rename(draft, file);
}
