import { expect, test } from '@jest/globals';
import { CancelSource } from '../../../lib/cancel/cancel-source.js';

test('listeners hear of it once, with the first reason', () => {
  const abandonment = new CancelSource();
  const heard: unknown[] = [];
  abandonment.addEventListener('abort', () => heard.push(abandonment.reason));
  expect(abandonment.aborted).toBe(false);
  abandonment.abort('first');
  abandonment.abort('second');
  expect(heard).toEqual(['first']);
  expect(abandonment.aborted).toBe(true);
  expect(abandonment.reason).toBe('first');
});

test('who stopped listening, or comes too late, hears nothing', () => {
  const abandonment = new CancelSource();
  let heard = 0;
  const listener = (): void => void heard++;
  abandonment.addEventListener('abort', listener);
  abandonment.removeEventListener('abort', listener);
  abandonment.abort('over');
  abandonment.addEventListener('abort', listener);
  expect(heard).toBe(0);
});
