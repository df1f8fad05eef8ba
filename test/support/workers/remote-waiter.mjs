// Waits for `k` at the lock server at argv[2], with nothing else to do, and ends by itself when it has had it.
import { SemaphoreService } from '../../../dist/index.js';
import { RemoteSemaphoreStore } from '../../../dist/client/index.js';

const store = new RemoteSemaphoreStore({ url: process.argv[2], storeTimeoutMs: 10_000 });
const semaphores = new SemaphoreService({ store, storeTimeoutMs: 10_000, log: 'none' });
const permit = await semaphores.acquire('k', { waitMs: 60_000 });
console.log(await permit.release());
await semaphores.close();
