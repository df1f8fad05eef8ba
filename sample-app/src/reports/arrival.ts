import {
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  type NestMiddleware,
} from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { randomUUID } from 'node:crypto';
import { RunLog } from './run-log.js';

/** When a request came in, before it waited for anything. */
export interface Arrival {
  readonly id: string;
  readonly at: number;
}

@Injectable()
export class ArrivalMiddleware implements NestMiddleware {
  constructor(private readonly runs: RunLog) {}

  use(request: Request, response: Response, next: NextFunction): void {
    const id = request.get('x-request-id') ?? randomUUID();
    response.locals['arrival'] = { id, at: this.runs.arrived(id) } satisfies Arrival;
    next();
  }
}

export const RequestArrival = createParamDecorator(
  (_data: unknown, context: ExecutionContext): unknown =>
    context.switchToHttp().getResponse<Response>().locals['arrival'],
);
