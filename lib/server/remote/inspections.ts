import { StoreUnavailableError } from '../../semaphore.errors.js';
import { snapshotToWire } from '../../store/remote/wire.js';
import type { StoreSession, StoreSnapshot } from '../../store/semaphore-store.js';
import { ConcurrencyLimit } from '../../concurrency-limit.js';

/** How many snapshots are read at once: each may have thousands of waiters. */
const AT_ONCE = 8;
/** When the snapshots of one answer are longer together, no more are added to it. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Of a holder or waiter beside its texts, about. */
const ENTRY_BYTES = 120;

interface Inspection {
  bytes: number;
  wire: object;
}

/** The inspections of one request: a short one may ask for very much. */
export class Inspections {
  private readonly turns = new ConcurrencyLimit(AT_ONCE);
  private readonly byKey = new Map<string, Promise<Inspection>>();
  private bytes = 0;

  constructor(private readonly store: StoreSession) {}

  /** @throws {StoreUnavailableError} also when the answer is too long already */
  async inspect(key: string): Promise<object> {
    let inspection = this.byKey.get(key);
    if (inspection === undefined) {
      inspection = this.turns.run(() => this.read(key));
      this.byKey.set(key, inspection);
    }
    const { bytes, wire } = await inspection;
    this.requireRoom(key);
    this.bytes += bytes;
    return wire;
  }

  /** Forgets what was read of the key: whoever asks after this call must not see what was before it. */
  forget(key: string): void {
    this.byKey.delete(key);
  }

  private async read(key: string): Promise<Inspection> {
    this.requireRoom(key);
    const snapshot = await this.store.inspect(key);
    return { bytes: sizeOf(snapshot), wire: snapshotToWire(snapshot) };
  }

  private requireRoom(key: string): void {
    if (this.bytes < MAX_BYTES) return;
    const detail = 'too much was asked for at once: inspect fewer semaphores together';
    throw new StoreUnavailableError(detail, key, undefined, true);
  }
}

function sizeOf({ holders, waiters }: StoreSnapshot): number {
  let bytes = 0;
  for (const { id, client, label = '' } of [...holders, ...waiters]) {
    bytes += ENTRY_BYTES + id.length + client.length + Buffer.byteLength(label);
  }
  return bytes;
}
