/**
 * Puts the files of the dashboard's page where they are served from. uPlot is copied out of node_modules, with its
 * licence and as a module, into the sources first: the page loads nothing from elsewhere, and its users install nothing more.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';

const root = new URL('../', import.meta.url);
const assets = new URL('lib/dashboard/assets/', root);
const uplot = new URL('node_modules/uplot/', root);

const script = await readFile(new URL('dist/uPlot.iife.min.js', uplot), 'utf8');
await writeIfChanged('uplot.js', `${script.trimEnd()}\nexport default uPlot;\n`);
await writeIfChanged('uplot.css', await readFile(new URL('dist/uPlot.min.css', uplot), 'utf8'));
await writeIfChanged('uplot-license.txt', await readFile(new URL('LICENSE', uplot), 'utf8'));
await cp(assets, new URL('dist/dashboard/assets/', root), { recursive: true });

async function writeIfChanged(name, text) {
  const file = new URL(name, assets);
  if ((await readFile(file, 'utf8').catch(() => undefined)) !== text) await writeFile(file, text);
}
