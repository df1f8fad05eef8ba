/** A process that runs a lock server over node:http, made from the built package. */
import { createServer } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { SemaphoreService } from '../../../dist/index.js';
import { createSemaphoreServer } from '../../../dist/server/index.js';

const { store, server: options } = JSON.parse(process.argv[2]);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const semaphores = new SemaphoreService(store);
const { handler } = createSemaphoreServer({ semaphores, ...options });
const http = createServer(handler);
let problems = 0;
process.on('unhandledRejection', (error) => {
  problems++;
  console.error('unhandledRejection', error);
});
http.listen(0, '127.0.0.1', () => process.send({ port: http.address().port }));

process.on('disconnect', () => process.exit());
process.on('message', ({ call }) => {
  collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  process.send({ call, rss, heapUsed, problems });
});
