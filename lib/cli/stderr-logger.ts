import { ConsoleLogger, type LogLevel } from '@nestjs/common';

/** Writes the log of the library to stderr: stdout is for results, and whoever reads those may be gone. */
export class StderrLogger extends ConsoleLogger {
  /** @param json one JSON object a line */
  constructor(json: boolean) {
    // In a pipe it is undefined, where Nest would colour.
    super({ json, colors: !json && Boolean(process.stderr.isTTY) });
  }

  protected override printMessages(
    messages: unknown[],
    context?: string,
    logLevel?: LogLevel,
    _stream?: 'stdout' | 'stderr',
    ...rest: [errorStack?: unknown, params?: Record<string, unknown>]
  ): void {
    super.printMessages(messages, context, logLevel, 'stderr', ...rest);
  }
}
