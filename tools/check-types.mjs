/**
 * The published files must load and type-check without the optional peers: no declaration may mention one,
 * and no module may import one before it is used. Type-only imports are gone from the emitted code, so what
 * is left there as a static import is a real one.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const { peerDependencies, peerDependenciesMeta } = JSON.parse(
  await readFile(join(root, 'package.json'), 'utf8'),
);
const optional = Object.keys(peerDependencies).filter(
  (name) => peerDependenciesMeta[name]?.optional === true,
);

const dist = join(root, 'dist');
const files = await readdir(dist, { recursive: true }).catch(() => []);
const problems = (await Promise.all(files.map(problemsOf))).flat();

if (files.length === 0) problems.push('dist is empty: run "npm run build" first');
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`No declaration and no static import needs ${optional.join(', ')}.`);

async function problemsOf(file) {
  const isDeclaration = /\.d\.[cm]?ts$/.test(file);
  if (!isDeclaration && !/\.[cm]?js$/.test(file)) return [];
  const source = withoutComments(await readFile(join(dist, file), 'utf8'));
  return importsOf(source, isDeclaration)
    .map((specifier) => [specifier, optional.find((name) => isWithin(specifier, name))])
    .filter(([, name]) => name !== undefined)
    .map(([specifier]) => `dist/${file} imports "${specifier}", which is optional`);
}

/** Static imports and re-exports; in declarations also `import('x').Y`, which is a type there. */
function importsOf(source, isDeclaration) {
  const patterns = [
    /^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
  ];
  if (isDeclaration) {
    patterns.push(
      /\bimport\s*\(\s*['"]([^'"]+)['"]/g,
      /\brequire\s*\(\s*['"]([^'"]+)['"]/g,
      /\bdeclare module\s*['"]([^'"]+)['"]/g,
      /\/\/\/\s*<reference types=['"]([^'"]+)['"]/g,
    );
  }
  return patterns.flatMap((pattern) => [...source.matchAll(pattern)].map((match) => match[1]));
}

function isWithin(specifier, name) {
  return specifier === name || specifier.startsWith(`${name}/`);
}

/** Examples in docstrings import the optional peers, and may. */
function withoutComments(source) {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/(?!\/).*$/gm, '');
}
