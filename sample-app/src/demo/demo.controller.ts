import {
  BadRequestException,
  Controller,
  Header,
  HttpCode,
  ParseIntPipe,
  Post,
  Query,
  Req,
  StreamableFile,
} from '@nestjs/common';
import type { Request } from 'express';
import { REPORTS } from '../reports/reports.controller.js';
import { RunLog } from '../reports/run-log.js';
import { sendBurst } from './burst.js';

const MAX_REQUESTS = 100;

/**
 * What the start page's buttons do. A browser opens six connections to a host, so that most of its own requests would
 * wait in the browser: therefore the server sends them, over HTTP, to itself.
 */
@Controller('demo/bursts')
export class DemoController {
  constructor(private readonly runs: RunLog) {}

  @Post()
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  start(
    @Query('requests', ParseIntPipe) requests: number,
    @Req() { socket }: Request,
  ): StreamableFile {
    if (requests < 1 || requests > MAX_REQUESTS) {
      throw new BadRequestException(`"requests" must be a number from 1 to ${MAX_REQUESTS}`);
    }
    const url = `http://127.0.0.1:${socket.localPort}/reports`;
    const lines = sendBurst(url, requests, REPORTS.permits, this.runs);
    return new StreamableFile(lines, { type: 'application/x-ndjson' });
  }
}
