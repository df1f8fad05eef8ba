import { median } from './measure.mjs';

/** The row of a contender, if it was measured. */
export function rowOf(group, id) {
  return group.rows.find((row) => row.id === id && row.repeats.some(Boolean));
}

/** The median of one figure. */
export function figure(group, id, name) {
  return rowOf(group, id)?.figures[name]?.median;
}

/** How many times as much as another contender, both measured in the same repeat. */
export function times(group, id, other, name = 'perSecond') {
  const one = rowOf(group, id)?.repeats ?? [];
  const two = rowOf(group, other)?.repeats ?? [];
  const ratios = one.map((figures, index) => figures?.[name] / two[index]?.[name]);
  return ratios.some(Number.isFinite) ? median(ratios.filter(Number.isFinite)) : undefined;
}

/** The smallest ratio to any of several contenders: the one to the best of them. */
export function timesBest(group, id, others, name = 'perSecond') {
  const ratios = others.map((other) => times(group, id, other, name)).filter(Number.isFinite);
  return ratios.length === 0 ? undefined : Math.min(...ratios);
}

/** @param {number | undefined} value undefined when it was not measured */
export function atLeast(text, value, goal, unit = '') {
  return { text, value, goal: `>= ${goal}${unit}`, holds: verdict(value, value >= goal), unit };
}

/** @param {number | undefined} value undefined when it was not measured */
export function atMost(text, value, goal, unit = '') {
  return { text, value, goal: `<= ${goal}${unit}`, holds: verdict(value, value <= goal), unit };
}

/** The least of several rows as a share of the most: 1 is flat. */
export function flatness(rows, name) {
  const medians = rows.map(({ figures }) => figures[name]?.median).filter(Number.isFinite);
  return medians.length < 2 ? undefined : Math.min(...medians) / Math.max(...medians);
}

/** No contender of ours may ever let in more than the limit. */
export function neverOverAdmitted(groups) {
  const ours = groups.flatMap(({ rows }) => rows.filter(({ id }) => id.startsWith('ours')));
  const counts = ours.flatMap(({ figures }) => figures.overAdmitted?.values ?? []);
  const total = counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
  return atMost('sections beyond the limit', total, 0);
}

function verdict(value, holds) {
  return Number.isFinite(value) ? holds : undefined;
}
