/**
 * Where the money is. It refuses a write whose fencing token is older than one it has seen: a payment that was stopped
 * for so long that its permit ran out cannot overwrite what a later payment has done.
 */
export abstract class Ledger {
  /**
   * Takes `amount` from the account.
   * @returns the new balance
   * @throws {StaleTokenError}
   */
  abstract withdraw(account: string, amount: number, fencingToken: number): Promise<number>;
}

export class StaleTokenError extends Error {
  constructor(account: string, fencingToken: number) {
    super(`A later payment has written to account ${account}: token ${fencingToken} is too old`);
  }
}

export const OPENING_BALANCE = 1_000;
