/**
 * Writes the Lua scripts of the Redis store into one TypeScript module, so that the published package
 * carries them as plain strings. What has a name that starts with a digit is joined in name order into
 * `semaphoreScript`, a folder `5-some-name` as the function `defineSomeName`, whose body is in its files; every other
 * `some-name.lua` becomes `someNameScript`. A line `include('name')` is what `included/name.lua` has. Numbers that
 * `included/format.lua` names are constants of the module, too.
 */
import { readdir, readFile } from 'node:fs/promises';
import { writeIfChanged } from './write-if-changed.mjs';

const folder = new URL('../lib/store/redis/scripts/', import.meta.url);
const target = new URL('embedded.ts', folder);

const names = (await readdir(folder).catch(() => []))
  .filter((name) => name.endsWith('.lua') || /^\d+-\w+$/.test(name))
  .sort();
if (names.length > 0) {
  const isPart = (name) => /^\d/.test(name);
  const parts = names.filter(isPart);
  const scripts = names
    .filter((name) => !isPart(name))
    .map((name) => ({ constant: `${camelCase(name.replace(/\.lua$/, ''))}Script`, parts: [name] }));
  if (parts.length > 0) scripts.unshift({ constant: 'semaphoreScript', parts });

  const blocks = [
    ...(await Promise.all(scripts.map(render))),
    await numbersOf('included/format.lua'),
  ];
  await writeIfChanged(
    target,
    `// Generated from the .lua files of this folder by tools/embed-lua.mjs. Do not edit.\n\n${blocks.join('\n')}`,
  );
}

async function render({ constant, parts }) {
  const lines = (await Promise.all(parts.map((name) => linesOf(name)))).flat();
  return `export const ${constant}: string = ${JSON.stringify(inlined(lines).join('\n'))};\n`;
}

async function linesOf(part) {
  if (part.endsWith('.lua')) {
    const lines = strip(await readFile(new URL(part, folder), 'utf8'));
    const texts = lines.map((line) => {
      const [, name] = /^include\('(\w+)'\)$/.exec(line) ?? [];
      return name === undefined ? [line] : linesOf(`included/${name}.lua`);
    });
    return (await Promise.all(texts)).flat();
  }
  const names = (await readdir(new URL(part, folder))).sort();
  const bodies = await Promise.all(names.map((name) => linesOf(`${part}/${name}`)));
  return [`function ${camelCase(part.replace(/^\d+/, 'define'))}()`, ...bodies.flat(), 'end'];
}

/**
 * Constants, `local NAMES, IN_CAPITALS = 1, '2'`, are put in where they are used: a script is run from its beginning at every
 * call, and Lua makes an object of each local that a function uses.
 */
function inlined(lines) {
  const { values, rest } = constantsOf(lines);
  return rest.map((line) =>
    line.replace(/'[^']*'|\b[A-Z][A-Z0-9_]*\b/g, (word) => values.get(word) ?? word),
  );
}

function constantsOf(lines) {
  const values = new Map();
  const rest = lines.filter((line) => {
    const [, names, literals] =
      /^local ([A-Z][A-Z0-9_]*(?:, [A-Z][A-Z0-9_]*)*) = (.+)$/.exec(line) ?? [];
    const list = literals?.match(/'[^']*'|[^\s,'][^,']*/g) ?? [];
    if (names === undefined || !list.every((one) => /^('[^']*'|[\d.e]+( \^ \d+)?)$/.test(one)))
      return true;
    for (const [i, name] of names.split(', ').entries()) {
      if (values.has(name)) throw new Error(`There are two constants ${name}`);
      values.set(name, list[i].includes('^') ? `(${list[i]})` : list[i]);
    }
    return false;
  });
  return { values, rest };
}

async function numbersOf(part) {
  const { values } = constantsOf(await linesOf(part));
  return [...values]
    .filter(([, value]) => !value.startsWith("'"))
    .map(([name, value]) => `export const ${name}: number = ${value.replace('^', '**')};\n`)
    .join('');
}

/** Full-line comments, blank lines and indentation go: Redis hashes and parses what is left. */
function strip(source) {
  return source
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('--'));
}

function camelCase(name) {
  return name.replace(/[-_.]+(.)/g, (_, letter) => letter.toUpperCase());
}
