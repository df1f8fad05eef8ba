import { AcquireAbortedError } from 'nestjs-semaphore';
import assert from 'node:assert/strict';
import { PreviewsService } from '../dist/previews.service.js';
import { all, job, occupied, startApp } from './support.mjs';

const { app, service, close } = await startApp({ providers: [PreviewsService] });
const previews = app.get(PreviewsService);

const running = previews.render('home', new AbortController().signal);
const { end } = await job('renderPreview');
const closed = new AbortController();
const waiting = previews.render('about', closed.signal);
await occupied(service, 'previews', 1, 1);
closed.abort(new Error('tab closed'));
await assert.rejects(waiting, (error) => {
  assert.ok(error instanceof AcquireAbortedError);
  assert.equal(error.cause.message, 'tab closed');
  return true;
});
await occupied(service, 'previews', 1, 0);
assert.equal(all('renderPreview').length, 1);
end('picture');
assert.equal(await running, 'picture');
await close();
