import assert from 'node:assert/strict';
import { trace } from '@opentelemetry/api';
import { exporter } from '../dist/telemetry.js';
import { startApp } from './support.mjs';

const { service, close } = await startApp({});
await trace.getTracer('check').startActiveSpan('work', async (span) => {
  assert.equal(span.isRecording(), true);
  await (await service.acquire('report:acme', { name: 'reports' })).release();
  span.end();
});
const response = await fetch(`http://127.0.0.1:${process.env.METRICS_PORT}/metrics`);
const text = await response.text();
assert.match(text, /^semaphore_acquired_total\{semaphore_name="reports".*\} 1$/m);
assert.match(text, /^semaphore_permits_held\{semaphore_name="reports".*\} 0$/m);
assert.doesNotMatch(text, /acme/);
await Promise.all([close(), exporter.shutdown()]);
