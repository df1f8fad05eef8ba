import {
  Body,
  ConflictException,
  Controller,
  type ExecutionContext,
  Param,
  Post,
} from '@nestjs/common';
import type { Request } from 'express';
import { CurrentPermit, type Permit, Semaphore } from 'nestjs-semaphore';
import { setTimeout as delay } from 'node:timers/promises';
import { Ledger, StaleTokenError } from './ledger.js';
import { ParsePayment, type Payment } from './payment.js';

interface Receipt {
  account: string;
  balance: number;
  fencingToken: number;
}

/** One payment at a time for each account. One that takes longer than 2 s loses its turn. */
@Controller('accounts/:account/payments')
export class PaymentsController {
  constructor(private readonly ledger: Ledger) {}

  @Post()
  @Semaphore({ key: accountKey, leaseMs: 2_000, renew: false })
  async pay(
    @Param('account') account: string,
    @Body(ParsePayment) { amount, bankMs }: Payment,
    @CurrentPermit() { fencingToken }: Permit,
  ): Promise<Receipt> {
    await delay(bankMs);
    try {
      const balance = await this.ledger.withdraw(account, amount, fencingToken);
      return { account, balance, fencingToken };
    } catch (error) {
      if (error instanceof StaleTokenError) throw new ConflictException(error.message);
      throw error;
    }
  }
}

function accountKey(context: ExecutionContext): string {
  const { params } = context.switchToHttp().getRequest<Request<{ account: string }>>();
  return `account:${params.account}`;
}
