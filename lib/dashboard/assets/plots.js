import { server } from './clock.js';
import { h, setText } from './dom.js';
import { count, duration, maybeDuration, unbroken } from './format.js';

const HEIGHT_PX = 150;
/** What the last time below a plot needs to the right of its line. */
const HALF_A_TIME_PX = 18;

/** What a scale shows at least, so that the steps on it can be told apart: 10 ms, and one a second. */
const LEAST_MS = 10;
const LEAST_RATE = 1;

const QUANTILES = [
  { title: 'p50', color: '--plot-1' },
  { title: 'p95', color: '--plot-2' },
  { title: 'p99', color: '--plot-3' },
];
const PLOTS = [
  {
    title: 'Wait time',
    series: QUANTILES,
    format: duration,
    least: LEAST_MS,
    data: ({ wait }) => quantileColumns(wait),
    summary: ({ total }) => quantileText(total.wait),
  },
  {
    title: 'Hold time',
    series: QUANTILES,
    format: duration,
    least: LEAST_MS,
    data: ({ hold }) => quantileColumns(hold),
    summary: ({ total }) => quantileText(total.hold),
  },
  {
    title: 'Acquired and rejected, a second',
    series: [
      { title: 'acquired', color: '--plot-1' },
      { title: 'rejected', color: '--plot-3' },
    ],
    format: (rate) => `${+rate.toFixed(2)}`,
    least: LEAST_RATE,
    data: (timeline) => [
      ratesOf(timeline, timeline.acquired),
      ratesOf(timeline, timeline.rejected),
    ],
    summary: ({ total }) =>
      [
        unbroken(`${count(total.acquired)} acquired`),
        rejectedText(total),
        unbroken(`${count(total.lost)} lost`),
      ].join(', '),
  },
];

/** The last 15 minutes, in this process. */
export class PlotsPanel {
  #timeline;
  #drawn = '';
  #UPlot;
  #figures = PLOTS.map((plot) => new Figure(plot));
  #scheme = matchMedia('screen and (prefers-color-scheme: dark)');
  #resize = new ResizeObserver(() => this.#figures.forEach((figure) => figure.fit()));
  #redraw = () => this.#draw();
  element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'plots-title' },
    h('h2', { id: 'plots-title' }, 'Last 15 minutes, in the process that serves this page'),
    h('div', { class: 'plots' }, ...this.#figures.map(({ element }) => element)),
  );

  open() {
    this.#scheme.addEventListener('change', this.#redraw);
    this.#resize.observe(this.element);
    void this.#load();
  }

  close() {
    this.#scheme.removeEventListener('change', this.#redraw);
    this.#resize.disconnect();
    this.#figures.forEach((figure) => figure.clear());
  }

  show(timeline) {
    this.#timeline = timeline;
    const text = JSON.stringify(timeline);
    if (text === this.#drawn || this.#UPlot === undefined) return;
    this.#drawn = text;
    this.#figures.forEach((figure) => figure.show(timeline, this.#UPlot));
  }

  /** Plots are the largest part of the page, and the list does without. */
  async #load() {
    const { default: UPlot } = await import('./uplot.js');
    this.#UPlot = UPlot;
    this.#draw();
  }

  #draw() {
    this.#figures.forEach((figure) => figure.clear());
    this.#drawn = '';
    if (this.#timeline) this.show(this.#timeline);
  }
}

class Figure {
  #plot;
  #chart;
  #place = h('div', { class: 'chart', 'aria-hidden': 'true' });
  #summary = h('span', { class: 'summary' });

  constructor(plot) {
    this.#plot = plot;
    const legend = plot.series.map(({ title, color }) =>
      h('li', { class: `is${color.slice(1)}` }, title),
    );
    this.element = h(
      'figure',
      {},
      h('figcaption', {}, h('h3', {}, plot.title), this.#summary),
      h('ul', { class: 'legend', 'aria-hidden': 'true' }, ...legend),
      this.#place,
    );
  }

  show(timeline, UPlot) {
    const { from, intervalMs } = timeline;
    const times = timeline.acquired.map((_, i) => (from + i * intervalMs) / 1_000);
    const data = [times, ...this.#plot.data(timeline)];
    setText(this.#summary, this.#plot.summary(timeline));
    if (this.#chart) this.#chart.setData(data);
    else this.#chart = new UPlot(this.#options(), data, this.#place);
  }

  fit() {
    const width = this.#place.clientWidth;
    if (this.#chart && width > 0) this.#chart.setSize({ width, height: HEIGHT_PX });
  }

  clear() {
    this.#chart?.destroy();
    this.#chart = undefined;
  }

  #options() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const { series, format, least } = this.#plot;
    const axis = {
      stroke: color('--soft'),
      grid: { stroke: color('--grid'), width: 1 },
      ticks: { stroke: color('--grid'), width: 1, size: 4 },
      font: '11px system-ui, sans-serif',
    };
    return {
      width: this.#place.clientWidth,
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, HALF_A_TIME_PX, 0, 0],
      scales: { y: { range: (_, _min, max) => [0, Math.max(max, least) * 1.1] } },
      axes: [
        { ...axis, size: 28, space: 60, values: (_, ticks) => ticks.map(clockTime) },
        { ...axis, size: 58, space: 28, values: (_, ticks) => ticks.map(format) },
      ],
      series: [
        {},
        ...series.map(({ title, color: name }) => ({
          label: title,
          stroke: color(name),
          width: 1.5,
          points: { show: true, size: 4, fill: color(name), filter: lonelyPoints },
        })),
      ],
    };
  }
}

/** Nothing is known of the time before the process began; of a moment no rate can be told. */
function ratesOf({ from, since, intervalMs }, counts) {
  return counts.map((number, i) => {
    const begin = Math.max(from + i * intervalMs, since);
    const lasted = Math.min(from + (i + 1) * intervalMs, server.now()) - begin;
    return lasted < intervalMs / 3 ? null : number / (lasted / 1_000);
  });
}

/** Points that no line leads to would not be seen. */
function lonelyPoints(chart, series) {
  const values = chart.data[series];
  return values.flatMap((value, i) =>
    value !== null && (values[i - 1] ?? values[i + 1] ?? null) === null ? i : [],
  );
}

function quantileColumns(rows) {
  return QUANTILES.map((_, i) => rows.map((row) => row[i]));
}

function quantileText(quantiles) {
  return QUANTILES.map(({ title }, i) => unbroken(`${title} ${maybeDuration(quantiles[i])}`)).join(
    ', ',
  );
}

/** 5 rejected (4 timeout, 1 busy) */
function rejectedText({ rejected, reasons }) {
  const parts = Object.entries(reasons).map(([reason, n]) => unbroken(`${count(n)} ${reason}`));
  const all = unbroken(`${count(rejected)} rejected`);
  return parts.length > 0 ? `${all} (${parts.join(', ')})` : all;
}

function clockTime(seconds) {
  return new Date(seconds * 1_000).toLocaleTimeString('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
  });
}
