/**
 * Writes the files of the dashboard's page into one TypeScript module: so they are found in a bundle too. uPlot is copied out of
 * node_modules, with its licence and as a module, into the sources first: the page loads nothing from elsewhere, and its users
 * install nothing more.
 */
import { readdir, readFile } from 'node:fs/promises';
import { writeIfChanged } from './write-if-changed.mjs';

const root = new URL('../', import.meta.url);
const folder = new URL('lib/dashboard/assets/', root);
const uplot = new URL('node_modules/uplot/', root);

const script = await readFile(new URL('dist/uPlot.iife.min.js', uplot), 'utf8');
await write('uplot.js', `${script.trimEnd()}\nexport default uPlot;\n`);
await write('uplot.css', await readFile(new URL('dist/uPlot.min.css', uplot), 'utf8'));
await write('uplot-license.txt', await readFile(new URL('LICENSE', uplot), 'utf8'));

const names = (await readdir(folder)).filter((name) => /\.(html|css|js|svg|txt)$/.test(name));
const entries = names.sort().map(async (name) => {
  const text = await readFile(new URL(name, folder), 'utf8');
  return `  ${JSON.stringify(name)}: ${JSON.stringify(text)},\n`;
});
await write(
  'embedded.ts',
  `// Generated from the files of this folder by tools/embed-assets.mjs. Do not edit.\n
export const ASSETS: Readonly<Record<string, string>> = {\n${(await Promise.all(entries)).join('')}};\n`,
);

function write(name, text) {
  return writeIfChanged(new URL(name, folder), text);
}
