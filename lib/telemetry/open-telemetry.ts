import { createRequire } from 'node:module';

/** What telemetry uses of `@opentelemetry/api`: an optional peer, which no declaration may mention. */
export interface OpenTelemetry {
  readonly metrics: { getMeter(name: string): Meter };
  readonly trace: { getTracer(name: string): Tracer; getTracerProvider(): TracerProvider };
  readonly context: { active(): Context };
  readonly ProxyTracerProvider: new () => { getDelegate(): object };
  readonly SpanStatusCode: { readonly ERROR: number };
  createNoopMeter(): Meter;
}

export type Attributes = Record<string, string | number | boolean>;

interface InstrumentOptions {
  unit: string;
  description: string;
  advice?: { explicitBucketBoundaries: number[] };
}

export interface Histogram {
  record(value: number, attributes: Attributes): void;
}

/** A counter that is read when metrics are collected. */
export interface Observable {
  addCallback(callback: (result: { observe(value: number): void }) => void): void;
}

export interface Observe {
  observe(observable: Observable, value: number, attributes: Attributes): void;
}

export interface Meter {
  createHistogram(name: string, options: InstrumentOptions): Histogram;
  createObservableCounter(name: string, options: InstrumentOptions): Observable;
  createObservableUpDownCounter(name: string, options: InstrumentOptions): Observable;
  addBatchObservableCallback(callback: (result: Observe) => void, observables: Observable[]): void;
}

interface Span {
  setStatus(status: { code: number; message?: string }): unknown;
  recordException(error: Error, epochMs: number): void;
  end(epochMs: number): void;
}

export interface Tracer {
  startSpan(
    name: string,
    options: { attributes: Attributes; startTime: number },
    context: Context,
  ): Span;
}

/** What the API hands out stands before the one that was registered, or before one that does nothing. */
export interface TracerProvider {
  getTracer(name: string): Tracer;
  getDelegate?(): object;
}

/** Whose child a span is. */
export interface Context {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): Context;
  deleteValue(key: symbol): Context;
}

/**
 * Loaded at once, so that no acquisition comes before it; undefined when it is not installed. Bundlers leave it where it is:
 * the copy that is loaded has what the application has registered, because all copies share it.
 */
export function loadOpenTelemetry(): OpenTelemetry | undefined {
  // Of a bundle in CommonJS `import.meta` is empty. The name `require` is one that bundlers take for their own.
  const beside = loadedBy(() => createRequire(import.meta.url ?? __filename));
  if (beside !== undefined) return beside;
  // In a bundle, webpack makes `undefined` of that, and Rspack puts in where this file was when the bundle was made.
  const { getBuiltinModule, argv } = process;
  return loadedBy(() => getBuiltinModule('node:module').createRequire(argv[1] ?? ''));
}

function loadedBy(loader: () => NodeJS.Require): OpenTelemetry | undefined {
  try {
    const load = loader();
    return load('@opentelemetry/api') as typeof import('@opentelemetry/api');
  } catch {
    return undefined;
  }
}
