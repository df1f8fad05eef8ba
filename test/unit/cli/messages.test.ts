import { PassThrough } from 'node:stream';
import { describe, expect, it, test } from '@jest/globals';
import {
  InvalidOptionsError,
  PermitUnavailableError,
  StoreUnavailableError,
} from 'nestjs-semaphore';
import { CliError, toCliError } from '../../../lib/cli/cli-error.js';
import { Output } from '../../../lib/cli/output.js';
import { milliseconds, permitsOrNone, port, wholeNumber } from '../../../lib/cli/values.js';
import { RequestError } from '../../../lib/client/http-request.js';
import { ALLOWED_KEY } from '../../../lib/client/remote.calls.js';

test.each([
  [401, 77],
  [403, 77],
  [500, 69],
])('a server that answers %i means the exit code %i', (statusCode, exitCode) => {
  const cause = new RequestError('no', { statusCode });
  expect(toCliError(new StoreUnavailableError('no', 'k', cause))).toMatchObject({ exitCode });
});

test('what the API key may not do is told from what is wrong', () => {
  const codeOf = (option: string, rule: string): number =>
    toCliError(new InvalidOptionsError(option, 'k', rule)).exitCode;
  expect(codeOf('key', ALLOWED_KEY)).toBe(77);
  expect(codeOf('apiKey', 'one with the role `admin`')).toBe(77);
  expect(codeOf('key', 'a non-empty string')).toBe(2);
});

test('the time to try again is at least a second', () => {
  const wanted = { permits: 1, weight: 1, waitMs: 0, maxWaiting: 1 };
  const error = new PermitUnavailableError('k', 'busy', 1, wanted);
  expect(toCliError(error).message).toContain('in about 1s.');
});

describe('what is written', () => {
  function open(isJson = false) {
    const stderr = new PassThrough();
    const output = new Output({ stdout: new PassThrough(), stderr }, {}, isJson);
    return { output, told: () => String(stderr.read()) };
  }

  it('of errors cannot steer the terminal', () => {
    const { output, told } = open();
    output.error(new CliError('a\u001b[31m'));
    expect(told()).toBe('nestjs-semaphore: a\\x1b[31m\n');
    output.usage('error: b\u001b[31m\n(see --help)\n');
    expect(told()).toBe('error: b\\x1b[31m\n(see --help)\n');
  });

  it('of errors is JSON where that is wanted', () => {
    const { output, told } = open(true);
    output.usage('error: unknown option\n');
    const error = { code: 'USAGE', message: 'unknown option', exitCode: 2 };
    expect(JSON.parse(told())).toEqual({ error });
    output.note('for people');
    expect(told()).toBe('null');
  });
});

test('a number on the command line has its bounds, and a time may be without end', () => {
  expect(milliseconds(1)('forever')).toBe(Infinity);
  expect(milliseconds(1)('1.5')).toBe(1.5);
  for (const text of ['0', '-1', '1e3', '9'.repeat(400), '']) {
    expect(() => milliseconds(1)(text)).toThrow('of at least 1');
  }
  expect([wholeNumber(-1, 1)('-1'), wholeNumber(-1, 1)('1')]).toEqual([-1, 1]);
  for (const text of ['-2', '2', '0.5', '0x1', ' ']) {
    expect(() => wholeNumber(-1, 1)(text)).toThrow('from -1 to 1');
  }
  expect([permitsOrNone('none'), permitsOrNone('1'), port('65535')]).toEqual([null, 1, 65_535]);
  expect(() => permitsOrNone('0')).toThrow('of at least 1, or "none"');
  expect(() => port('65536')).toThrow('from 0 to 65535');
});
