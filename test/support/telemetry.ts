import { context, metrics, trace } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { pollUntil } from './redis-admin.js';
import { freePort } from './redis-ports.js';

/** One line of what Prometheus reads. */
export interface Sample {
  metric: string;
  labels: Record<string, string>;
  value: number;
}

/** The real OpenTelemetry SDK, registered for this process: metrics scraped over HTTP, spans kept in memory. */
export class Telemetry implements AsyncDisposable {
  private readonly memory = new InMemorySpanExporter();
  private readonly tracers = new NodeTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(this.memory)],
  });
  private readonly meters: MeterProvider;

  private constructor(
    private readonly port: number,
    exporter: PrometheusExporter,
  ) {
    this.meters = new MeterProvider({ readers: [exporter] });
    metrics.setGlobalMeterProvider(this.meters);
    this.tracers.register();
  }

  static async start(): Promise<Telemetry> {
    const port = await freePort();
    const exporter = new PrometheusExporter({ port, host: '127.0.0.1', preventServerStart: true });
    await exporter.startServer();
    return new Telemetry(port, exporter);
  }

  /** The text that Prometheus gets. */
  async text(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port}/metrics`);
    return response.text();
  }

  async scrape(): Promise<Sample[]> {
    const lines = (await this.text()).matchAll(/^(\w+)(?:\{(.*)\})? (\S+)/gm);
    return Array.from(lines, ([, metric = '', labels = '', value]) => ({
      metric,
      labels: Object.fromEntries(
        Array.from(labels.matchAll(/(\w+)="([^"]*)"/g), ([, label, text]) => [label, text]),
      ) as Record<string, string>,
      value: Number(value),
    }));
  }

  /** The sum of all series of a metric that have these labels; 0 without any. */
  async value(metric: string, labels: Record<string, string> = {}): Promise<number> {
    const samples = (await this.scrape()).filter(
      (sample) =>
        sample.metric === metric &&
        Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
    );
    return samples.reduce((sum, { value }) => sum + value, 0);
  }

  /** Those that have ended, and whose name begins like this. */
  spans(prefix = 'semaphore wait'): ReadableSpan[] {
    return this.memory.getFinishedSpans().filter(({ name }) => name.startsWith(prefix));
  }

  /** Resolves when that many spans whose name begins like this have ended. */
  ended(prefix: string, times = 1): Promise<void> {
    return pollUntil(`${times} spans "${prefix}" have ended`, async () => {
      return this.spans(prefix).length >= times;
    });
  }

  /** Spans that have ended so far are shown no more. */
  forget(): void {
    this.memory.reset();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const api of [metrics, trace, context]) api.disable();
    await Promise.all([this.meters.shutdown(), this.tracers.shutdown()]);
  }
}
