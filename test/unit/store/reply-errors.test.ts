import { describe, expect, test } from '@jest/globals';
import { codeOf, isReadOnly, isReply, isTransient } from '../../../lib/store/redis/reply-errors.js';

/** As ioredis makes it of what a server answered. */
function reply(text: string): Error {
  return Object.assign(new Error(text), { name: 'ReplyError' });
}

const RULE = "You can't write against a read only replica.";

describe.each([
  ['Redis 7', (text: string) => `${text} script: 5f1c, on @user_script:31.`],
  ['Redis 7, when the script has caught it', (text: string) => `ERR ${text} script: 5f1c.`],
  [
    'Redis 6',
    (text: string) =>
      `ERR Error running script (call to f_5f1c): @user_script:31: @user_script: 31: -${text}`,
  ],
])('what a script was refused, as %s tells it', (_, told) => {
  test('is known to pass, when the server is a replica', () => {
    const error = reply(told(`READONLY ${RULE}`));
    expect([isReply(error), isTransient(error), isReadOnly(error)]).toEqual([true, true, true]);
  });

  test('is known by its code', () => {
    const error = reply(told("OOM command not allowed when used memory > 'maxmemory'."));
    expect([codeOf(error), isTransient(error)]).toEqual(['OOM', false]);
  });
});

test('an error of the script itself is none that passes', () => {
  const text =
    'ERR Error running script (call to f_5f1c): @user_script:9: user_script:9: too short';
  expect([codeOf(reply(text)), isTransient(reply(text))]).toEqual(['ERR', false]);
});
