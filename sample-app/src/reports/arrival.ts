import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { type NextFunction, type Request, type Response } from 'express';

/** Milliseconds of a clock that all processes of the machine share and nobody sets. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Notes when a request came in, before it waits for anything. */
export function noteArrival(_request: Request, response: Response, next: NextFunction): void {
  response.locals['arrivedAt'] = monotonicMs();
  next();
}

export const ArrivedAt = createParamDecorator(
  (_data: unknown, context: ExecutionContext): unknown =>
    context.switchToHttp().getResponse<Response>().locals['arrivedAt'],
);
