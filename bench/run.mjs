/**
 * Measures nestjs-semaphore beside its peers: `npm run bench -- --only 1,3 --peer redlock --seconds 2 --repeats 5`.
 * See docs/performance.md.
 */
import { parseArgs } from 'node:util';
import { prepare } from './lib/setup.mjs';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    peer: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '0.4' },
    repeats: { type: 'string', default: '3' },
    json: { type: 'string' },
    svg: { type: 'string' },
    'cpu-prof': { type: 'string' },
  },
});

try {
  prepare();
  const { runBenchmark } = await import('./lib/benchmark.mjs');
  await runBenchmark({
    only: values.only?.split(',').map(Number),
    peers: values.peer?.flatMap((peer) => peer.split(',')),
    seconds: positive('seconds'),
    repeats: Math.ceil(positive('repeats')),
    json: values.json,
    svg: values.svg,
    cpuProf: values['cpu-prof'],
  });
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}

function positive(name) {
  const number = Number(values[name]);
  if (number > 0 && number < Infinity) return number;
  throw new Error(`Expected --${name} to be a number > 0, got "${values[name]}"`);
}
