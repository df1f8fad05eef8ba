import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { scenarios } from '../scenarios/all.mjs';
import { printGoals, printGroup, printSettings } from './report.mjs';
import { drawSvg } from './svg.mjs';

export const scenarioIds = scenarios.map(({ id }) => id);

/**
 * @param {object} options
 * @param {number[]} [options.only] ids of scenarios
 * @param {string[]} [options.peers] parts of ids of peers; ours are always measured
 * @param {number} options.seconds how long one measurement takes
 * @param {number} options.repeats
 * @param {string} [options.json] @param {string} [options.svg] files to write
 * @param {string} [options.cpuProf] folder for the CPU profiles of the contenders
 */
export async function runBenchmark({ only, peers, json, svg, cpuProf, ...options }) {
  const run = {
    ...options,
    cpuProf: cpuProf && resolve(cpuProf),
    includes: (peer) =>
      peers === undefined ||
      peer.startsWith('ours') ||
      peer.startsWith('http') ||
      peers.some((part) => peer.includes(part)),
  };
  const machine = describeMachine();
  const { seconds, repeats } = options;
  console.log(
    `${machine} · ${seconds} s a measurement · medians of ${repeats} (smallest to largest)`,
  );

  const results = [];
  const startedAt = Date.now();
  for (const scenario of scenarios.filter(({ id }) => only?.includes(id) ?? true)) {
    const from = Date.now();
    const groups = await scenario.run(run);
    const seconds = secondsSince(from);
    groups.filter(({ rows }) => rows.length > 0).forEach(printGroup);
    const goals = scenario.goals(groups).map((goal) => ({ scenario: scenario.id, ...goal }));
    results.push({ scenario: scenario.id, seconds, groups, goals });
  }
  const goals = results.flatMap((result) => result.goals);
  printSettings(results.flatMap(({ groups }) => groups));
  printGoals(goals);
  const each = results.map((result) => `${result.scenario}: ${result.seconds}`).join(', ');
  console.log(`${secondsSince(startedAt)} s in all (${each})`);
  if (json) writeFileSync(json, `${JSON.stringify({ machine, ...options, results }, null, 2)}\n`);
  if (svg) writeFileSync(svg, drawSvg(results, machine));
}

function secondsSince(time) {
  return Math.round((Date.now() - time) / 1000);
}

function describeMachine() {
  const redis = /v=([\d.]+)/.exec(
    execFileSync('redis-server', ['--version'], { encoding: 'utf8' }),
  );
  const ioredis = JSON.parse(
    readFileSync(new URL('../node_modules/ioredis/package.json', import.meta.url), 'utf8'),
  );
  const node = process.versions.node;
  return `${cpus().length} cores, Node ${node}, Redis ${redis?.[1]}, ioredis ${ioredis.version}`;
}
