import { expect, test } from '@jest/globals';
import { EventParser } from '../../../lib/client/event-parser.js';

test('events are read wherever the pieces end in which they arrive', () => {
  const text = 'retry: 1000\nevent: a\ndata: "ü"\n\n:\n\nevent: b\ndata: {"c":1}\n\n';
  const parser = new EventParser();
  const events = [...Buffer.from(text)].flatMap((byte) => parser.push(Buffer.of(byte)));
  expect(events).toEqual([
    { event: 'a', data: 'ü' },
    { event: 'b', data: { c: 1 } },
  ]);
  expect(new EventParser().push(Buffer.from(text))).toEqual(events);
});

test('an event without an end is not gathered for ever', () => {
  const parser = new EventParser();
  const piece = Buffer.alloc(600_000, 'x');
  expect(parser.push(piece)).toEqual([]);
  expect(() => parser.push(piece)).toThrow('too long');
});
