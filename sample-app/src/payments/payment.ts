import { BadRequestException, type PipeTransform } from '@nestjs/common';

export interface Payment {
  /** In cents. */
  amount: number;
  /** How long the bank takes to answer; for trying out what a slow one does. */
  bankMs: number;
}

const MAX_BANK_MS = 10_000;

export class ParsePayment implements PipeTransform<unknown, Payment> {
  transform(body: unknown): Payment {
    const { amount, bankMs = 50 } = (body ?? {}) as Record<string, unknown>;
    if (!isWhole(amount) || amount < 1) {
      throw new BadRequestException('"amount" must be a whole number of cents, at least 1');
    }
    if (!isWhole(bankMs) || bankMs < 0 || bankMs > MAX_BANK_MS) {
      throw new BadRequestException(`"bankMs" must be a whole number from 0 to ${MAX_BANK_MS}`);
    }
    return { amount, bankMs };
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
