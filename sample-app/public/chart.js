import { isRejected } from './burst.js';

const byId = (id) => document.getElementById(id);
const FIRST_AXIS_MS = 6_000;
const AXIS_STEP_MS = 2_000;
const rows = new Map();

export function clear() {
  rows.clear();
  byId('bars').replaceChildren();
  byId('empty').hidden = true;
}

export function draw(burst) {
  const { now } = burst;
  const axisMs = Math.max(FIRST_AXIS_MS, Math.ceil(now / AXIS_STEP_MS) * AXIS_STEP_MS);
  drawAxis(axisMs);
  for (const request of burst.requests) drawRow(request, now, axisMs);
  drawLoad(burst, now, axisMs);
  for (const name of ['waiting', 'running', 'most', 'finished', 'rejected']) {
    byId(name).textContent = burst[name];
  }
}

function drawAxis(axisMs) {
  const axis = byId('axis');
  if (axis.dataset.ms === `${axisMs}`) return;
  axis.dataset.ms = axisMs;
  const ticks = Array.from({ length: axisMs / AXIS_STEP_MS }, (_, i) => i * AXIS_STEP_MS);
  axis.replaceChildren(
    ...ticks.map((ms) => {
      const label = element('span', '', `${ms / 1000} s`);
      label.style.left = percent(ms, axisMs);
      return label;
    }),
  );
  byId('bars').style.setProperty('--tick', percent(AXIS_STEP_MS, axisMs));
}

function drawRow(request, now, axisMs) {
  const row = rows.get(request.n) ?? addRow(request.n);
  const { arrivedAt, enteredAt, leftAt, answeredAt } = request;
  const isRefused = isRejected(request) && enteredAt === undefined;
  place(row.waited, arrivedAt, enteredAt ?? answeredAt ?? now, axisMs);
  row.waited.className = isRefused ? 'refused' : 'waited';
  if (enteredAt !== undefined) place(row.ran, enteredAt, leftAt ?? now, axisMs);
  setText(row.note, describe(request));
}

function describe({ arrivedAt, enteredAt, leftAt, answeredAt, status }) {
  if (enteredAt === undefined) {
    if (answeredAt === undefined) return 'waiting';
    return `waited ${seconds(answeredAt - arrivedAt)}, got ${status}`;
  }
  const waited = `waited ${seconds(enteredAt - arrivedAt)}`;
  return leftAt === undefined
    ? `${waited}, running`
    : `${waited}, ran ${seconds(leftAt - enteredAt)}`;
}

function addRow(n) {
  const item = element('li');
  const track = element('div', 'track');
  const row = {
    waited: element('div', 'waited'),
    ran: element('div', 'ran'),
    note: element('span', 'note'),
  };
  track.append(row.waited, row.ran);
  item.append(element('span', 'number', n), track, row.note);
  byId('bars').append(item);
  rows.set(n, row);
  return row;
}

function drawLoad({ load, permits, running, most }, now, axisMs) {
  const top = permits + 1;
  const x = (at) => ((at / axisMs) * 1000).toFixed(1);
  const y = (count) => (100 - (count / top) * 100).toFixed(1);
  const steps = withoutHandOvers(load, axisMs / 400)
    .map((step) => `H${x(step.at)}V${y(step.running)}`)
    .join('');
  const line = `M0 ${y(0)}${steps}H${x(now)}`;
  byId('load-line').setAttribute('d', line);
  byId('load-area').setAttribute('d', `${line}V${y(0)}Z`);
  for (const end of ['y1', 'y2']) byId('load-limit').setAttribute(end, y(permits));
  setText(byId('limit-label'), `limit ${permits}`);
  setText(byId('load-text'), `${running} running now, at most ${most} at once, limit ${permits}`);
}

/** From one report to the next there is a moment with one less: too short to see, as a line it would be a spike. */
function withoutHandOvers(load, shortMs) {
  const isDip = (step, i) => {
    const before = load[i - 1];
    const after = load[i + 1];
    if (before === undefined || after === undefined) return false;
    const isLow = step.running < before.running && step.running < after.running;
    return isLow && after.at - step.at < shortMs;
  };
  return load.filter((step, i) => !isDip(step, i));
}

function place(bar, from, to, axisMs) {
  bar.style.left = percent(from, axisMs);
  bar.style.width = percent(to - from, axisMs);
}

function percent(part, whole) {
  return `${((part / whole) * 100).toFixed(2)}%`;
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function element(name, className = '', text = '') {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = text;
  return node;
}
