import { Controller, Get } from '@nestjs/common';
import { type DigestRun, DigestTask } from './digest.task.js';

@Controller('digest/runs')
export class DigestController {
  constructor(private readonly task: DigestTask) {}

  /** The digests that this process has sent. */
  @Get()
  list(): readonly DigestRun[] {
    return this.task.runs;
  }
}
