import { expect, test } from '@jest/globals';
import { CancelSource } from '../../../lib/cancel/cancel-source.js';
import { onAbort } from '../../../lib/cancel/on-abort.js';

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

test('whom a listener before stops hears nothing', () => {
  const source = new CancelSource();
  const heard: string[] = [];
  onAbort(source, () => {
    heard.push('first');
    stopSecond();
  });
  const stopSecond = onAbort(source, () => heard.push('second'));
  source.abort('over');
  expect(heard).toEqual(['first']);
});
