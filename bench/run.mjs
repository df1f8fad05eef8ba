/**
 * Measures nestjs-semaphore beside its peers: `npm run bench -- --only 1,3 --peer redlock --seconds 2 --repeats 5`.
 * See docs/performance.md.
 */
import { Command, InvalidArgumentError } from 'commander';
import { prepare } from './lib/setup.mjs';
import { peerIds } from './peers/registry.mjs';

const program = new Command('npm run bench --')
  .description('Measures nestjs-semaphore beside its peers. See docs/performance.md.')
  .option('--only <ids>', 'scenarios, with commas', ids)
  .option('--peer <parts>', 'parts of ids of peers, with commas or given several times', append)
  .option('--seconds <number>', 'how long one measurement takes', positive, 0.4)
  .option('--repeats <number>', 'how often each is repeated', positive, 3)
  .option('--json <file>', 'every figure of every repeat')
  .option('--svg <file>', 'bars with whiskers')
  .option('--cpu-prof <folder>', 'CPU profiles; they slow everybody down')
  .allowExcessArguments(false)
  .parse();

const { only, peer, seconds, repeats, json, svg, cpuProf } = program.opts();

try {
  prepare();
  const { runBenchmark, scenarioIds } = await import('./lib/benchmark.mjs');
  const unknown = only?.find((id) => !scenarioIds.includes(id));
  if (unknown !== undefined) program.error(`error: there is no scenario ${unknown}`);
  const nobody = peer?.find((part) => !peerIds.some((id) => id.includes(part)));
  if (nobody !== undefined) program.error(`error: there is no peer ${nobody}`);
  await runBenchmark({
    only,
    peers: peer,
    seconds,
    repeats: Math.ceil(repeats),
    json,
    svg,
    cpuProf,
  });
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}

function ids(text) {
  return text.split(',').map(positive);
}

function append(text, before = []) {
  return [...before, ...text.split(',')];
}

function positive(text) {
  const number = Number(text);
  if (number > 0 && number < Infinity) return number;
  throw new InvalidArgumentError('It is no number above 0.');
}
