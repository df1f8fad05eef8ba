import { type CanActivate, Injectable } from '@nestjs/common';

/**
 * The reader's own code, which the recipes import from './work.js'. Work begins when a recipe calls it, and goes on until the
 * check ends it: so checks know how many run at once without measuring time.
 */
export class Job {
  end!: (result?: unknown) => void;
  fail!: (error: Error) => void;
  readonly result: Promise<unknown>;

  constructor(
    readonly name: string,
    readonly args: readonly unknown[],
  ) {
    this.result = new Promise((resolve, reject) => {
      this.end = (value) => {
        running.delete(this);
        resolve(value);
      };
      this.fail = (error) => {
        running.delete(this);
        reject(error);
      };
    });
  }
}

/** What runs now, in the order in which it began. */
export const running = new Set<Job>();
/** All that ever began. */
export const begun: Job[] = [];
export const alerts: string[] = [];

const job =
  (name: string) =>
  (...args: unknown[]): Promise<unknown> => {
    const begins = new Job(name, args);
    begun.push(begins);
    running.add(begins);
    return begins.result;
  };

export const exportFiles = job('exportFiles');
export const geocode = job('geocode');
export const closeBooks = job('closeBooks');
export const cleanUp = job('cleanUp');
export const search = job('search');
export const transfer = job('transfer');
export const store = job('store');
export const scanForViruses = job('scanForViruses');
export const renderPreview = job('renderPreview');
export const importRow = job('importRow');
export const sendMail = job('sendMail');
export const calculateQuote = job('calculateQuote');
export const saveOrder = job('saveOrder');
export const queryReports = job('queryReports');
export const makeThumbnail = job('makeThumbnail');
export const resizeImage = job('resizeImage');
export const askForRate = job('askForRate');
export const fetchToken = job('fetchToken');
export const renderReport = job('renderReport');
export const shipOrder = job('shipOrder');

export function rowsToImport(): string[] {
  return ['first', 'second', 'third'];
}

export function alert(message: string): void {
  alerts.push(message);
}

@Injectable()
export class CreditCheckGuard implements CanActivate {
  static checks = 0;
  static isCreditGood = true;

  canActivate(): boolean {
    CreditCheckGuard.checks++;
    return CreditCheckGuard.isCreditGood;
  }
}
