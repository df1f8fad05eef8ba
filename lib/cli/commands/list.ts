import type { SemaphoreService } from '../../semaphore.service.js';
import { internalsOf } from '../../service-internals.js';
import type { SemaphoreSnapshot, StoreSnapshot } from '../../store/semaphore-store.js';
import type { Output } from '../output.js';
import { type Column, tableOf } from '../table.js';
import { duration } from '../text.js';

const AT_ONCE = 50;

/** The keys in use, with their numbers. */
export async function list(
  semaphores: SemaphoreService,
  output: Output,
  pattern: string,
): Promise<void> {
  const internals = internalsOf(semaphores);
  const snapshots: StoreSnapshot[] = [];
  let keys: string[] = [];
  const inspectAll = async (): Promise<void> => {
    snapshots.push(...(await Promise.all(keys.map((key) => internals.look(key)))));
    keys = [];
  };
  for await (const key of semaphores.list(pattern)) {
    if (keys.push(key) === AT_ONCE) await inspectAll();
  }
  await inspectAll();
  snapshots.sort((a, b) => (a.key < b.key ? -1 : 1));
  output.result(snapshots.map(toJson), toLines(snapshots, output));
}

function toJson({ key, permits, held, available, holders, waiters }: SemaphoreSnapshot): object {
  return { key, permits, held, available, holders: holders.length, waiting: waiters.length };
}

function toLines(snapshots: readonly StoreSnapshot[], output: Output): string[] {
  if (snapshots.length === 0) return ['No semaphore is in use.'];
  const columns: Column<StoreSnapshot>[] = [
    { title: 'KEY', value: ({ key }) => key, isFlexible: true },
    { title: 'HELD', value: ({ held, permits }) => `${held}/${permits}`, alignRight: true },
    { title: 'WAITING', value: ({ waiters }) => String(waiters.length), alignRight: true },
    { title: 'OLDEST', value: oldest, alignRight: true },
  ];
  const [head = '', ...rows] = tableOf(snapshots, columns, output.columns);
  return [output.heading(head), ...rows];
}

/** For how long the one is held that is held for longest, by the store's clock. */
function oldest({ holders, now }: StoreSnapshot): string {
  const since = Math.min(...holders.map(({ acquiredAt }) => acquiredAt));
  return since === Infinity ? '-' : duration(now - since);
}
