import { afterEach, expect, test } from '@jest/globals';
import {
  context,
  type Context,
  type ContextManager,
  ROOT_CONTEXT,
  trace,
  type TracerProvider,
} from '@opentelemetry/api';
import { VirtualClock } from 'nestjs-semaphore/testing';
import { resolveOptions } from '../../../lib/resolve-options.js';
import { loadOpenTelemetry } from '../../../lib/telemetry/open-telemetry.js';
import { startTelemetry } from '../../../lib/telemetry/telemetry.js';
import { type FinishedWait, WaitSpans } from '../../../lib/telemetry/wait-spans.js';

const options = resolveOptions({}, {});
const spans: string[] = [];
const span = { end: () => undefined, recordException: () => undefined, setStatus: () => undefined };
const startSpan = (_name: string, { attributes }: { attributes: Record<string, unknown> }) => {
  spans.push(String(attributes['semaphore.permit.id']));
  return span;
};
const provider = { getTracer: () => ({ startSpan }) } as unknown as TracerProvider;

afterEach(() => {
  trace.disable();
  context.disable();
  spans.length = 0;
});

test('nothing is measured where nobody has registered an SDK', () => {
  const probes = startTelemetry(new VirtualClock());
  expect(probes).toBeDefined();
  expect(probes?.start(options)).toBeUndefined();
  trace.setGlobalTracerProvider(provider);
  expect(probes?.start(options)).toBeDefined();
});

test('an SDK that throws when an acquisition begins is left out of it', () => {
  trace.setGlobalTracerProvider(provider);
  const probes = startTelemetry(new VirtualClock());
  const active = (): Context => {
    throw new Error('broken');
  };
  context.setGlobalContextManager({
    active,
    disable: () => undefined,
  } as unknown as ContextManager);
  expect(probes?.start(options)).toBeUndefined();
});

test('the spans of crowd after crowd are made in time, and those of few at once again', async () => {
  trace.setGlobalTracerProvider(provider);
  const clock = new VirtualClock();
  const api = loadOpenTelemetry();
  if (api === undefined) throw new Error('It is installed');
  const waits = new WaitSpans(api, clock, 'test');
  const add = (count: number): void => {
    const wait = { options, context: ROOT_CONTEXT, startedAt: 0, endedAt: 0, error: undefined };
    const permit = { id: 'a', weight: 1, fencingToken: 1, degraded: false };
    const finished: FinishedWait = { ...wait, outcome: 'acquired', permit };
    for (let i = 0; i < count; i++) waits.add(finished);
  };
  add(256);
  expect(spans).toHaveLength(256);
  for (const made of [276, 296]) {
    add(20);
    expect(spans).toHaveLength(made - 20);
    await clock.advance(100);
    expect(spans).toHaveLength(made);
  }
  add(3);
  await clock.advance(100);
  add(1);
  expect(spans).toHaveLength(300);
});
