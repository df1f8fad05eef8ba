import { Ledger, OPENING_BALANCE, StaleTokenError } from './ledger.js';

export class MemoryLedger extends Ledger {
  private readonly accounts = new Map<string, { token: number; balance: number }>();

  async withdraw(account: string, amount: number, fencingToken: number): Promise<number> {
    const { token, balance } = this.accounts.get(account) ?? { token: 0, balance: OPENING_BALANCE };
    if (fencingToken < token) throw new StaleTokenError(account, fencingToken);
    this.accounts.set(account, { token: fencingToken, balance: balance - amount });
    return balance - amount;
  }
}
