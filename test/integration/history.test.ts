import { expect, test } from '@jest/globals';
import {
  type Arrival,
  type HistoryEntry,
  longestStall,
  outOfTurn,
  overTheLimit,
  tokensThatDoNotGrow,
} from '../support/history.js';

// The load test is worth as much as these checks: each must see what it is there for.

const MICROS = 1000;

function entry(label: string, from: number, to: number, more: Partial<HistoryEntry> = {}) {
  const times = { askedAt: from - 1, enteredAt: from, leftAt: to, fencingToken: from * MICROS };
  const facts = { key: 'k', id: label, label, pid: 1, weight: 1, permits: 2, priority: 0 };
  return { ...facts, ...times, ...more };
}

function arrivals(...labels: string[]): Map<string, Arrival> {
  return new Map(labels.map((label, order) => [label, { order, at: order }]));
}

test('sees more weight than the limit, and not one that left in time', () => {
  const good = [entry('a', 10, 20), entry('b', 10, 15), entry('c', 15, 30)];
  expect(overTheLimit(good)).toEqual([]);
  expect(overTheLimit([...good, entry('d', 19, 40)])).toHaveLength(1);
  expect(overTheLimit([entry('a', 10, 20), entry('b', 12, 13, { weight: 2 })])).toHaveLength(1);
});

test('sees tokens that are given twice or go back', () => {
  const good = [entry('a', 10, 20), entry('b', 12, 15), entry('c', 30, 31)];
  expect(tokensThatDoNotGrow(good)).toEqual([]);
  expect(tokensThatDoNotGrow([...good, entry('d', 40, 41, { fencingToken: 1 })])).toHaveLength(1);
  const twice = tokensThatDoNotGrow([...good, entry('d', 30, 31)]);
  expect(twice).toEqual(['1 tokens were given twice']);
});

test('sees who was served out of turn', () => {
  const history = [entry('a', 10, 20), entry('b', 12, 20), entry('c', 20, 30)];
  expect(outOfTurn(history, arrivals('a', 'b', 'c'))).toEqual([]);
  expect(outOfTurn(history, arrivals('a', 'c', 'b'))).toHaveLength(1);
  expect(outOfTurn(history, arrivals('a', 'b'))).toHaveLength(1);
  const waited = [entry('a', 500, 600), entry('b', 510, 600)];
  const urgent = [...waited, entry('c', 520, 600, { priority: 1 })];
  expect(outOfTurn(urgent, arrivals('a', 'b', 'c'))).toHaveLength(2);
  const late = new Map([...arrivals('a', 'b'), ['c', { order: 2, at: 505 }]] as const);
  expect(outOfTurn(urgent, late)).toEqual([]);
});

test('sees who waited although all was free', () => {
  const history = [entry('a', 10, 20), entry('b', 70, 80, { askedAt: 15 })];
  expect(longestStall(history, 1)).toBe(55);
  expect(longestStall(history, 2)).toBe(50);
});
