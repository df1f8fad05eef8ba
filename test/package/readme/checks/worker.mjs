import { SemaphoreClosedError } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { resize, stop } from '../dist/worker.js';
import { all, at, endAll, eventually } from './support.mjs';

const calls = Array.from({ length: 5 }, (_, i) => resize(`image ${i}`));
await eventually('four run', () => at('resizeImage').length === 4);
at('resizeImage')[0].end('resized');
assert.equal(await calls[0], 'resized');
await eventually('the fifth runs', () => all('resizeImage').length === 5);
await endAll('resizeImage');
await Promise.all(calls);
assert.deepEqual(
  all('resizeImage').map(({ args }) => args),
  [0, 1, 2, 3, 4].map((i) => [`image ${i}`]),
);

// This process ends by itself after that, or the check takes too long and fails.
await stop();
await assert.rejects(resize('late'), SemaphoreClosedError);
