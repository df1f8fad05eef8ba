// Holds one permit of `k` and waits for another, and holds `alone`, through the server at argv[2], until it is killed.
import { SemaphoreService } from '../../../dist/index.js';
import { RemoteSemaphoreStore } from '../../../dist/client/index.js';

const [, , url, graceMs] = process.argv;
const store = new RemoteSemaphoreStore({ url, graceMs: Number(graceMs) });
const semaphores = new SemaphoreService({ store, log: 'none' });
await semaphores.acquire('k');
await semaphores.acquire('alone');
semaphores.acquire('k', { waitMs: 60_000 }).catch(() => undefined);
process.send('holds');
process.on('disconnect', () => process.exit());
