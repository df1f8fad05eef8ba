import { styleText } from 'node:util';
import { printableJson } from '../quoted.js';
import { type CliError, UsageError } from './cli-error.js';
import { printable } from './text.js';

/** Where the program writes to. */
export interface Streams {
  stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  stderr: NodeJS.WritableStream;
}

const DEFAULT_COLUMNS = 80;

/** Writes results to stdout, for people or as JSON, and what went wrong to stderr. */
export class Output {
  private readonly hasColours: boolean;

  constructor(
    private readonly streams: Streams,
    env: NodeJS.ProcessEnv,
    readonly isJson: boolean,
  ) {
    const isTerminal = streams.stdout.isTTY === true && env['TERM'] !== 'dumb';
    this.hasColours = isTerminal && !env['NO_COLOR'];
  }

  get columns(): number {
    return this.streams.stdout.columns ?? DEFAULT_COLUMNS;
  }

  /** @param value what machines get, with null for Infinity @param lines what people get */
  result(value: unknown, lines: readonly string[]): void {
    const text = this.isJson ? printableJson(value, 2) : lines.join('\n');
    this.streams.stdout.write(`${text}\n`);
  }

  /** As {@link result}, on a line of its own for machines that read lines. */
  line(value: unknown, lines: readonly string[]): void {
    const text = this.isJson ? printableJson(value) : lines.join('\n');
    this.streams.stdout.write(`${text}\n`);
  }

  heading(text: string): string {
    return this.hasColours ? styleText('bold', text) : text;
  }

  /** For people only, and out of the way of results. */
  note(text: string): void {
    if (!this.isJson) this.streams.stderr.write(`nestjs-semaphore: ${text}\n`);
  }

  error({ message, code, exitCode }: CliError): void {
    const text = this.isJson
      ? printableJson({ error: { code, message, exitCode } })
      : `nestjs-semaphore: ${printable(message)}`;
    this.streams.stderr.write(`${text}\n`);
  }

  /** What the parser of the command line says. */
  usage(text: string): void {
    if (this.isJson) this.error(new UsageError(text.trim().replace(/^error: /, '')));
    else this.streams.stderr.write(text.split('\n').map(printable).join('\n'));
  }
}
