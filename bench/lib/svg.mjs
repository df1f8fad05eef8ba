const WIDTH = 860;
const BARS_FROM = 270;
const BARS_TO = 720;
const BAR = 16;
const STEP = 24;
const HEAD = 44;

/** What README shows, in this order: one figure of one group of a scenario. */
const PANELS = [
  { scenario: 1, group: 0, figure: 'perSecond', title: 'One caller, one key: pairs a second' },
  { scenario: 2, group: 0, figure: 'perSecond', title: '64 callers, own keys: pairs a second' },
  {
    scenario: 3,
    group: 1,
    figure: 'changesPerSecond',
    title: 'A mutex with 50 waiters: times a second that another waiter gets it',
  },
  {
    scenario: 3,
    group: 1,
    figure: 'handOffP50',
    title: 'A mutex with 50 waiters: microseconds from release to the next one (less is better)',
  },
  {
    scenario: 4,
    group: 0,
    figure: 'wallToIdeal',
    title: 'Limit 10, 200 waiters, 5 ms of work: time to the ideal one (less is better)',
  },
];

/** Bars of medians with whiskers from the smallest to the largest repeat. */
export function drawSvg(results, caption) {
  const parts = [];
  let y = 40;
  for (const panel of PANELS) {
    const rows = rowsOf(results, panel);
    if (rows.length === 0) continue;
    parts.push(drawPanel(panel, rows, y));
    y += HEAD + rows.length * STEP + 12;
  }
  const note = `${caption}; bars are medians, whiskers go from the smallest to the largest repeat`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="system-ui, sans-serif" font-size="13">
<style>
.paper { fill: #ffffff } text { fill: #1f2328 } .note { fill: #59636e; font-size: 11px } .title { font-weight: 600; font-size: 14px }
.peer { fill: #a8b3bf } .ours { fill: #e0234e } .whisker { stroke: #1f2328; stroke-width: 1.2; fill: none }
</style>
<rect class="paper" width="${WIDTH}" height="${y}"/>
<text class="note" x="16" y="24">${escape(note)}</text>
${parts.join('\n')}
</svg>
`;
}

function rowsOf(results, { scenario, group, figure }) {
  const rows = results.find((result) => result.scenario === scenario)?.groups[group]?.rows ?? [];
  return rows.filter(
    (row) => Number.isFinite(row.figures[figure]?.median) && !row.name.includes('(in process)'),
  );
}

function drawPanel({ title, figure }, rows, top) {
  const most = Math.max(...rows.map((row) => row.figures[figure].max));
  const x = (value) => round(BARS_FROM + ((BARS_TO - BARS_FROM) * value) / most);
  const bars = rows.map((row, index) => {
    const { median, min, max } = row.figures[figure];
    const y = top + HEAD + index * STEP;
    const middle = y + BAR / 2;
    const kind = row.id.startsWith('ours') ? 'ours' : 'peer';
    return [
      `<text x="${BARS_FROM - 8}" y="${middle + 4}" text-anchor="end">${escape(row.name)}</text>`,
      `<rect class="${kind}" x="${BARS_FROM}" y="${y}" width="${round(x(median) - BARS_FROM)}" height="${BAR}" rx="2"/>`,
      `<path class="whisker" d="M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 4}v8M${x(max)} ${middle - 4}v8"/>`,
      `<text x="${x(max) + 8}" y="${middle + 4}">${format(median)}</text>`,
    ].join('\n');
  });
  return `<text class="title" x="16" y="${top + 28}">${escape(title)}</text>\n${bars.join('\n')}`;
}

function format(value) {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : String(round(value, 100));
}

function round(value, parts = 10) {
  return Math.round(value * parts) / parts;
}

function escape(text) {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}
