import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MemorySemaphoreStore, SemaphoreService } from 'nestjs-semaphore';
import { StoreUnavailableError } from '../../../lib/semaphore.errors.js';
import { aborted } from '../../support/semaphores.js';
import { Telemetry } from '../../support/telemetry.js';
import { code, root, table } from './readme.js';

/** A store that is away for some calls. */
class GoneStore extends MemorySemaphoreStore {
  isGone = false;

  override connect(client: Parameters<MemorySemaphoreStore['connect']>[0]) {
    const session = super.connect(client);
    const acquire = session.acquire.bind(session);
    return Object.assign(session, {
      acquire: (request: Parameters<typeof acquire>[0]) =>
        this.isGone ? Promise.reject(new StoreUnavailableError('gone')) : acquire(request),
    });
  }
}

interface Exported {
  kind: string;
  unit: string;
  attributes: string[];
}

let telemetry: Telemetry;
const exported = new Map<string, Exported>();

/** As the Prometheus exporter writes a name of OpenTelemetry. */
const written = (name: string): string => name.replaceAll('.', '_');

beforeAll(async () => {
  telemetry = await Telemetry.start();
  await useEverything();
  const text = await telemetry.text();
  const samples = await telemetry.scrape();
  for (const [, metric = '', unit = ''] of text.matchAll(/^# UNIT (semaphore_\w+) (\S+)$/gm)) {
    const kind = new RegExp(`^# TYPE ${metric} (\\w+)$`, 'm').exec(text)?.[1] ?? '';
    const series = samples.filter((sample) => sample.metric.startsWith(metric));
    const labels = new Set(series.flatMap((sample) => Object.keys(sample.labels)));
    const attributes = [...labels].filter((label) => label.startsWith('semaphore_')).sort();
    exported.set(metric, { kind, unit, attributes });
  }
});

afterAll(() => telemetry[Symbol.asyncDispose]());

describe('the metrics in README.md', () => {
  const KINDS: Record<string, string> = { 'up-down counter': 'gauge' };
  const rows = table('## Telemetry');

  it('are those that are exported, with their kinds, units and attributes', () => {
    const listed = rows.map((row) => {
      const kind = row['kind'] ?? '';
      const name = written(code(row['metric']) ?? '') + (kind === 'counter' ? '_total' : '');
      const attributes = Array.from(row['attributes']?.matchAll(/`([^`]+)`/g) ?? [], ([, one]) =>
        written(one ?? ''),
      );
      return [
        name,
        { kind: KINDS[kind] ?? kind, unit: code(row['unit']), attributes: attributes.sort() },
      ];
    });
    expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(exported));
  });

  it.each(['semaphore.rejected', 'semaphore.lost'])('names every reason of %s', async (name) => {
    const meaning = rows.find((row) => code(row['metric']) === name)?.['meaning'] ?? '';
    const listed = meaning
      .slice(meaning.indexOf(':') + 1)
      .split(',')
      .map((word) => word.trim());
    const series = (await telemetry.scrape()).filter(
      ({ metric }) => metric === `${written(name)}_total`,
    );
    const reasons = series.map(({ labels }) => labels['semaphore_reason']);
    expect(listed.toSorted()).toEqual(reasons.map(String).toSorted());
  });
});

describe('docs/grafana.json', () => {
  const dashboard = JSON.parse(readFileSync(join(root, 'docs/grafana.json'), 'utf8')) as {
    title: string;
    schemaVersion: number;
    panels: {
      id: number;
      title: string;
      type: string;
      targets: { expr: string; refId: string }[];
    }[];
  };
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

  it('asks for metrics and labels that are exported, and for all of them', async () => {
    const samples = await telemetry.scrape();
    const metrics = new Set(samples.map(({ metric }) => metric));
    const asked = queries.flatMap((query) => query.match(/\bsemaphore_\w+(?=[{[])/g) ?? []);
    expect(asked.length).toBeGreaterThanOrEqual(queries.length);
    expect(asked.filter((metric) => !metrics.has(metric))).toEqual([]);
    const families = [...exported.keys()];
    expect(families.filter((family) => !asked.some((metric) => metric.startsWith(family)))).toEqual(
      [],
    );
    const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)));
    const grouped = queries.flatMap((query) =>
      Array.from(query.matchAll(/by \(([^)]*)\)/g), ([, list = '']) => list.split(/,\s*/)).flat(),
    );
    expect(grouped.filter((label) => !labels.has(label) && label !== 'instance')).toEqual([]);
  });

  it('has panels that Grafana can tell apart', () => {
    expect(dashboard.title).not.toBe('');
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39);
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

/** Lets happen whatever is measured. */
async function useEverything(): Promise<void> {
  const store = new GoneStore();
  const service = new SemaphoreService({ store, log: 'none', defaults: { name: 'reports' } });
  const nothing = () => undefined;
  const held = await service.acquire('k');
  await service.tryAcquire('k');
  await service.acquire('k', { waitMs: 1 }).catch(nothing);
  await service.acquire('k', { maxWaiting: 0 }).catch(nothing);
  await service.acquire('k', { signal: AbortSignal.abort() }).catch(nothing);
  await service.forceRelease('k', held.id);
  store.isGone = true;
  await service.acquire('k').catch(nothing);
  await (await service.acquire('k', { onStoreFailure: 'allow' })).release();
  store.isGone = false;
  const short = await service.acquire('short', { leaseMs: 1, renew: false });
  await aborted(short.signal);
  await service.close();
  await service.acquire('k').catch(nothing);
}
