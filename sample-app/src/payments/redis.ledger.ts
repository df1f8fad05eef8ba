import type { OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { Ledger, OPENING_BALANCE, StaleTokenError } from './ledger.js';

/** KEYS: the account. ARGV: fencing token, amount, opening balance. Returns the new balance, or nil for an old token. */
const WITHDRAW = `
  local token = tonumber(redis.call('HGET', KEYS[1], 'token') or '0')
  if tonumber(ARGV[1]) < token then return nil end
  redis.call('HSETNX', KEYS[1], 'balance', ARGV[3])
  redis.call('HSET', KEYS[1], 'token', ARGV[1])
  return redis.call('HINCRBY', KEYS[1], 'balance', -tonumber(ARGV[2]))
`;

/** One ledger for all instances. */
export class RedisLedger extends Ledger implements OnApplicationShutdown {
  private readonly redis: Redis;

  constructor(url: string) {
    super();
    this.redis = new Redis(url, { lazyConnect: true });
  }

  async withdraw(account: string, amount: number, fencingToken: number): Promise<number> {
    const args = [fencingToken, amount, OPENING_BALANCE];
    const balance = await this.redis.eval(WITHDRAW, 1, `ledger:${account}`, ...args);
    if (balance === null) throw new StaleTokenError(account, fencingToken);
    return Number(balance);
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
  }
}
