// Uses the package as a script would, and then has nothing more to do: the process must end by itself.
import { SemaphoreService } from '../../../dist/index.js';

const [redis, keyPrefix] = process.argv.slice(2);
const semaphores = new SemaphoreService({ redis, keyPrefix, log: 'none' });
const holder = await semaphores.acquire('exit', { leaseMs: 60_000 });
const waiter = semaphores.acquire('exit', { waitMs: 60_000 }).catch((error) => error.name);
await semaphores.close();
console.log(await waiter, await holder.release().catch((error) => error));
