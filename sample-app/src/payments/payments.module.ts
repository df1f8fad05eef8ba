import { Module } from '@nestjs/common';
import { REDIS_URL } from '../config.js';
import { Ledger } from './ledger.js';
import { MemoryLedger } from './memory.ledger.js';
import { PaymentsController } from './payments.controller.js';
import { RedisLedger } from './redis.ledger.js';

@Module({
  controllers: [PaymentsController],
  providers: [
    {
      provide: Ledger,
      useFactory: (): Ledger =>
        REDIS_URL === undefined ? new MemoryLedger() : new RedisLedger(REDIS_URL),
    },
  ],
})
export class PaymentsModule {}
