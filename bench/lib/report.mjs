const columns = {
  perSecond: ['sections/s', count],
  changesPerSecond: ['owner changes/s', count],
  p50: ['p50 us', count],
  p99: ['p99 us', count],
  handOffP50: ['hand-off p50 us', count],
  handOffP99: ['p99 us', count],
  hopP50: ['PUBLISH hop p50 us', count],
  floorP50: ['with its commands p50 us', count],
  timesHop: ['in hops', ratio],
  slowestToFastest: ['slowest/fastest', ratio],
  starved: ['starved', count],
  overAdmitted: ['over-admitted', count],
  wallToIdeal: ['wall/ideal', ratio],
  commandsPerSection: ['commands/section', ratio],
  ownCpuUsPerSection: ['own CPU us/section', ratio],
  cpuUsPerSection: ['Redis CPU us/section', ratio],
  pingUs: ['PING us', count],
  evalshaUs: ['EVALSHA us', count],
  evalshaP99Us: ['p99 us', count],
  publishUs: ['publish to callback us', count],
  scriptsPerSecond: ['scripts/s', ratio],
  commandsPerSecond: ['commands/s', ratio],
  cpuShare: ['Redis CPU of a core', ratio],
  lateMs: ['entered after lease end ms', ratio],
  bytesOwnKey: ['bytes: own key', count],
  bytesOneKey: ['bytes: one key', count],
  bytesWaiter: ['bytes: waiter', count],
  redisMb: ['Redis MB', ratio],
  keysLeft: ['keys left', count],
  requestsPerSecond: ['requests/s', count],
  latencyP99Ms: ['p99 ms', ratio],
  failed: ['failed calls', count],
};

/** A row of round trips among others is there to be compared by its hand-off. */
const FLOORS = ['pingUs', 'evalshaUs', 'evalshaP99Us', 'publishUs'];

function count(value) {
  return Math.abs(value) >= 100 || Number.isInteger(value)
    ? Math.round(value).toLocaleString('en-US')
    : value.toPrecision(2);
}

function ratio(value) {
  return Math.abs(value) >= 100 ? count(value) : value.toFixed(2);
}

/** The main figure comes first and with its spread, the others as medians. */
export function printGroup({ title, main, rows }) {
  const shown = Object.keys(columns).filter(
    (name) => name !== main && isWorthAColumn(name, rows) && rows.some((row) => has(row, name)),
  );
  const names = [main, ...shown];
  const lines = rows.map((row) => [
    row.name,
    ...names.map((name) => cell(row.figures[name], columns[name][1], name === main)),
  ]);
  console.log(`\n${title}`);
  printTable(['', ...names.map((name) => columns[name][0])], lines);
  for (const { name, failure, problems } of rows) {
    for (const problem of problems) console.log(`  ! ${name}: ${problem.slice(0, 140)}`);
    if (failure !== undefined) console.log(`  ! ${name} FAILS: ${failure.slice(0, 140)}`);
  }
}

function has({ figures }, name) {
  return Number.isFinite(figures[name]?.median);
}

/** Some are of interest only where they are not zero; memory only where the size grows. */
function isWorthAColumn(name, rows) {
  if (FLOORS.includes(name)) return rows.every((row) => has(row, name));
  if (name === 'redisMb') return rows.every(({ id }) => id.startsWith('ours'));
  if (name !== 'failed' && name !== 'starved') return true;
  return rows.some(({ figures }) => figures[name]?.max > 0);
}

function cell(figure, format, withSpread) {
  if (!Number.isFinite(figure?.median)) return '-';
  const text = format(figure.median);
  if (!withSpread || figure.min === figure.max) return text;
  return `${text} (${format(figure.min)} to ${format(figure.max)})`;
}

/** Numbers stand right, words left. */
function printTable(header, lines, isWords = false) {
  const all = [header, ...lines];
  const widths = header.map((_, column) => Math.max(...all.map((line) => line[column].length)));
  for (const line of all) {
    const cells = line.map((text, column) =>
      column === 0 || isWords ? text.padEnd(widths[column]) : text.padStart(widths[column]),
    );
    console.log(`  ${cells.join('  ').trimEnd()}`);
  }
}

/** Every goal: whether it holds, the figure, and the goal. */
export function printGoals(goals) {
  console.log('\nGoals');
  const verdictOf = ({ holds }) => (holds === undefined ? '-' : holds ? 'PASS' : 'FAIL');
  printTable(
    ['', 'goal', 'figure', 'what'],
    goals.map((goal) => [
      verdictOf(goal),
      goal.goal,
      valueOf(goal),
      `${goal.scenario} ${goal.text}`,
    ]),
    true,
  );
  const passed = goals.filter(({ holds }) => holds === true).length;
  const failed = goals.filter(({ holds }) => holds === false).length;
  console.log(`\n${passed} hold, ${failed} do not, ${goals.length - passed - failed} not measured`);
}

function valueOf({ value, unit }) {
  return Number.isFinite(value) ? `${ratio(value)}${unit}` : 'not measured';
}

/** What each contender was set to. */
export function printSettings(groups) {
  const settings = new Map();
  for (const { rows } of groups) for (const row of rows) settings.set(row.peer, row.settings);
  const lines = [...settings].filter(([, text]) => text !== '');
  lines.sort(([one], [other]) => one.localeCompare(other));
  console.log('\nSettings');
  printTable(['contender', 'set to'], lines, true);
}
