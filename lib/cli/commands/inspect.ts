import type { SemaphoreService } from '../../semaphore.service.js';
import { internalsOf } from '../../service-internals.js';
import {
  type HolderSnapshot,
  type StoreSnapshot,
  type WaiterSnapshot,
  withoutStoreFacts,
} from '../../store/semaphore-store.js';
import type { Output } from '../output.js';
import { type Column, tableOf } from '../table.js';
import { counted, duration, printable, shortened, widthOf } from '../text.js';

/** Who holds one key and who waits for it. */
export async function inspect(
  semaphores: SemaphoreService,
  output: Output,
  key: string,
): Promise<void> {
  const snapshot = await internalsOf(semaphores).look(key);
  output.result(withoutStoreFacts(snapshot), toLines(snapshot, output));
}

function toLines(snapshot: StoreSnapshot, output: Output): string[] {
  const { key, permits, pinned, held, holders, waiters, now } = snapshot;
  const limit = `${counted(permits, 'permit')}${pinned ? ' (pinned)' : ''}`;
  const facts = `${held} of ${limit} held, ${waiters.length} waiting`;
  const name = shortened(printable(key), Math.max(8, output.columns - widthOf(facts) - 2));
  return [
    `${output.heading(name)}: ${facts}`,
    ...section(holders, holderColumns(now), output),
    ...section(waiters, waiterColumns(now), output),
  ];
}

function section<Row>(rows: readonly Row[], columns: Column<Row>[], output: Output): string[] {
  if (rows.length === 0) return [];
  const [head = '', ...lines] = tableOf(rows, columns, output.columns);
  return ['', output.heading(head), ...lines];
}

function holderColumns(now: number): Column<HolderSnapshot>[] {
  return [
    { title: 'HOLDER', value: ({ id }) => id },
    { title: 'AGE', value: ({ acquiredAt }) => duration(now - acquiredAt), alignRight: true },
    { title: 'LEASE', value: ({ expiresAt }) => duration(expiresAt - now), alignRight: true },
    ...who<HolderSnapshot>(),
  ];
}

function waiterColumns(now: number): Column<WaiterSnapshot>[] {
  return [
    { title: 'WAITER', value: ({ id }) => id },
    { title: 'AGE', value: ({ enqueuedAt }) => duration(now - enqueuedAt), alignRight: true },
    { title: 'PRIORITY', value: ({ priority }) => String(priority), alignRight: true },
    ...who<WaiterSnapshot>(),
  ];
}

function who<Row extends HolderSnapshot | WaiterSnapshot>(): Column<Row>[] {
  return [
    { title: 'WEIGHT', value: ({ weight }) => String(weight), alignRight: true },
    { title: 'CLIENT', value: ({ client }) => client, isFlexible: true },
    { title: 'LABEL', value: ({ label }) => label ?? '-', isFlexible: true },
  ];
}
