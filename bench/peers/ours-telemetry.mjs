import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { peers as ours } from './ours.mjs';

const { ours: plain } = ours;

/** Reads the metrics as Prometheus does, much more often. */
const SCRAPE_MS = 1000;

/** Spans go nowhere: what a collector costs is its own. */
const nowhere = {
  export: (_spans, done) => done({ code: 0 }),
  shutdown: async () => {},
};

export const peers = {
  'ours-metrics': {
    ...plain,
    name: 'nestjs-semaphore, metrics',
    settings: `${plain.settings}; OpenTelemetry metrics, collected every second`,
    open: (target) => {
      measure();
      return plain.open(target);
    },
  },
  'ours-telemetry': {
    ...plain,
    name: 'nestjs-semaphore, metrics and spans',
    settings: `${plain.settings}; OpenTelemetry metrics, collected every second, and a span of every wait`,
    open: (target) => {
      measure();
      trace();
      return plain.open(target);
    },
  },
};

export function trace() {
  new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(nowhere)] }).register();
}

export function measure() {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [exporter] }));
  setInterval(() => void exporter.collect(), SCRAPE_MS).unref();
}
