import { setTimeout as delay } from 'node:timers/promises';
import { withRedis } from '../redis-admin.js';
import type { RedisServer } from '../redis-server.js';
import type { Crew } from './crew.js';
import type { FaultWorker } from './fault-worker.js';
import type { TcpProxy } from './tcp-proxy.js';

/** Where the faults of a soak happen: each process reaches Redis through a proxy of its own. */
export interface Site {
  redis: RedisServer;
  crew: Crew;
  proxies: readonly TcpProxy[];
  random(): number;
}

type Fault = (site: Site) => Promise<void>;

function upTo(ms: number, { random }: Site): Promise<void> {
  return delay(random() * ms);
}

function one<T>(from: readonly T[], { random }: Site): T {
  return from[Math.floor(random() * from.length)] as T;
}

function admin(site: Site, ...command: [string, ...string[]]): Promise<unknown> {
  return withRedis(site.redis.port, (redis) => redis.call(...command));
}

/** The last process is the one that dies: the others show what remains in a process. */
async function killProcess({ crew, proxies }: Site): Promise<void> {
  const victim = crew.alive.at(-1) as FaultWorker;
  await victim.kill();
  const successor = await crew.hire({ redis: (proxies.at(-1) as TcpProxy).url });
  await crew.contendAlso(successor);
}

async function stopProcess(site: Site): Promise<void> {
  const victim = one(site.crew.alive, site);
  victim.pause();
  await upTo(3000, site);
  victim.resume();
}

async function blockProcess(site: Site): Promise<void> {
  await one(site.crew.alive, site).call('block', site.random() * 3000);
}

async function killRedis({ redis }: Site): Promise<void> {
  await redis.kill();
  await redis.restart();
}

async function stopRedis(site: Site): Promise<void> {
  site.redis.pause();
  await upTo(4000, site);
  site.redis.resume();
}

async function pauseClients(site: Site): Promise<void> {
  await admin(site, 'CLIENT', 'PAUSE', `${Math.ceil(site.random() * 2000)}`);
}

async function flushScripts(site: Site): Promise<void> {
  await admin(site, 'SCRIPT', 'FLUSH');
}

async function killConnections(site: Site): Promise<void> {
  for (let i = 0; i < 10; i++) {
    await admin(site, 'CLIENT', 'KILL', 'TYPE', one(['normal', 'pubsub'], site));
    await upTo(100, site);
  }
}

async function cutNetwork(site: Site): Promise<void> {
  for (let i = 0; i < 10; i++) {
    one(site.proxies, site).cut();
    await upTo(100, site);
  }
}

async function slowNetwork(site: Site): Promise<void> {
  const proxy = one(site.proxies, site);
  proxy.fault = { delayMs: site.random() * 1500 };
  await upTo(4000, site);
  proxy.heal();
}

async function loseReplies(site: Site): Promise<void> {
  const proxy = one(site.proxies, site);
  proxy.fault = { dropReplies: true };
  await upTo(4000, site);
  proxy.heal();
}

async function separate(site: Site): Promise<void> {
  const proxy = one(site.proxies, site);
  proxy.fault = { isHalfOpen: true };
  await upTo(6000, site);
  proxy.heal();
}

async function fillMemory(site: Site): Promise<void> {
  await admin(site, 'CONFIG', 'SET', 'maxmemory', '1');
  await upTo(4000, site);
  await admin(site, 'CONFIG', 'SET', 'maxmemory', '0');
}

async function flushAll(site: Site): Promise<void> {
  await admin(site, 'FLUSHALL');
}

export const FAULTS: readonly Fault[] = [
  killProcess,
  stopProcess,
  blockProcess,
  killRedis,
  stopRedis,
  pauseClients,
  flushScripts,
  killConnections,
  cutNetwork,
  slowNetwork,
  loseReplies,
  separate,
  fillMemory,
];

/** After these, only work that a fenced resource lets through is exclusive. */
export const LOSSY_FAULTS: readonly Fault[] = [flushAll];
