import { afterEach, describe, expect, test } from '@jest/globals';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { AccessControl } from '../../../lib/dashboard/access-control.js';
import {
  type DashboardDecision,
  resolveDashboardOptions,
  type SemaphoreDashboardOptions,
} from '../../../lib/dashboard/dashboard.options.js';
import { rejection } from '../../support/semaphores.js';

const OWN = {
  'content-type': 'application/json',
  'x-semaphore-dashboard': 'act',
  host: 'app.example:3000',
};

function request(headers: IncomingHttpHeaders = {}): IncomingMessage {
  return { headers } as IncomingMessage;
}

function control(options: SemaphoreDashboardOptions, errors: string[] = []): AccessControl {
  return new AccessControl(options, { error: (message: string) => void errors.push(message) });
}

describe('access to the dashboard', () => {
  const environment = process.env['NODE_ENV'];
  afterEach(() => {
    process.env['NODE_ENV'] = environment;
  });

  test.each<[DashboardDecision, unknown]>([
    [true, { access: 'act' }],
    ['act', { access: 'act' }],
    ['view', { access: 'view' }],
    [
      { access: 'act', user: 'anna' },
      { access: 'act', user: 'anna' },
    ],
    [
      { access: 'view', user: 'ben' },
      { access: 'view', user: 'ben' },
    ],
    [{ access: 'act', user: 5 } as unknown as DashboardDecision, { access: 'act' }],
  ])('%j lets in', async (decision, visitor) => {
    expect(await control({ authorize: () => decision }).admit(request())).toEqual(visitor);
    const later = control({ authorize: () => Promise.resolve(decision) });
    expect(await later.admit(request())).toEqual(visitor);
  });

  test.each([false, 'none', { access: 'none' }, undefined, null, 0, 1, 'yes', {}, []])(
    '%j does not',
    async (decision) => {
      const access = control({ authorize: () => decision as DashboardDecision });
      expect(await rejection(access.admit(request()))).toMatchObject({ statusCode: 403 });
    },
  );

  test('a challenge answers 401, so that a browser asks for a password', async () => {
    const challenge = 'Basic realm="semaphores"';
    const access = control({ authorize: () => ({ access: 'none', challenge }) });
    expect(await rejection(access.admit(request()))).toMatchObject({
      statusCode: 401,
      headers: { 'www-authenticate': challenge },
    });
  });

  test.each([
    ['an error', new Error('no database')],
    ['what has no text', Object.create(null)],
  ])('an `authorize` that throws %s lets nobody in, and the log says so', async (_, thrown) => {
    const errors: string[] = [];
    const authorize = (): never => {
      throw thrown;
    };
    for (const each of [authorize, async () => authorize()]) {
      const access = control({ authorize: each }, errors);
      expect(await rejection(access.admit(request()))).toMatchObject({ statusCode: 403 });
    }
    expect(errors).toHaveLength(2);
  });

  test('without `authorize` it is open elsewhere than in production', async () => {
    process.env['NODE_ENV'] = 'development';
    expect(await control({}).admit(request())).toEqual({ access: 'act' });
    process.env['NODE_ENV'] = 'production';
    expect(await rejection(control({}).admit(request()))).toMatchObject({
      statusCode: 403,
      message: expect.stringContaining('`authorize`'),
    });
    const refusing = control({ authorize: () => false });
    expect(await rejection(refusing.admit(request()))).toMatchObject({
      message: 'You may not see the dashboard.',
    });
  });

  test('read-only is for everybody', async () => {
    const access = control({ readOnly: true, authorize: () => ({ access: 'act', user: 'anna' }) });
    expect(await access.admit(request())).toEqual({ access: 'view', user: 'anna' });
    expect(await rejection(access.admitToAct(request(OWN)))).toMatchObject({ statusCode: 403 });
    const closed = control({ readOnly: true, authorize: () => 'none' });
    expect(await rejection(closed.admit(request()))).toMatchObject({ statusCode: 403 });
  });

  test.each<[string, IncomingHttpHeaders, boolean]>([
    ['its own page', { ...OWN, 'sec-fetch-site': 'same-origin' }, true],
    ['its own page over plain HTTP', { ...OWN, origin: 'http://app.example:3000' }, true],
    ['a script without a browser', OWN, true],
    ['a script that shouts', { ...OWN, 'content-type': 'APPLICATION/JSON' }, true],
    [
      'its own page over HTTP/2',
      { ...OWN, host: undefined, ':authority': OWN.host, origin: `https://${OWN.host}` },
      true,
    ],
    [
      'another site over HTTP/2',
      { ...OWN, host: undefined, ':authority': OWN.host, origin: 'https://evil.example' },
      false,
    ],
    ['another site', { ...OWN, 'sec-fetch-site': 'cross-site' }, false],
    ['another host of the same site', { ...OWN, 'sec-fetch-site': 'same-site' }, false],
    ['an address bar', { ...OWN, 'sec-fetch-site': 'none' }, false],
    ['another origin over plain HTTP', { ...OWN, origin: 'http://evil.example' }, false],
    ['a sandboxed frame', { ...OWN, origin: 'null' }, false],
    [
      'a sandboxed frame that comes without a host',
      { ...OWN, host: undefined, origin: 'null' },
      false,
    ],
    ['a form', { ...OWN, 'content-type': 'text/plain' }, false],
    ['a request without the header', { ...OWN, 'x-semaphore-dashboard': undefined }, false],
  ])('%s may act: %j', async (_, headers, may) => {
    const acting = control({ authorize: () => true }).admitToAct(request(headers));
    if (may) expect(await acting).toEqual({ access: 'act' });
    else {
      expect(await rejection(acting)).toMatchObject({
        code: 'FOREIGN_ORIGIN',
        message: expect.stringContaining('pass the Host header on'),
      });
    }
  });

  test.each([
    ['path', { path: 'a b' }],
    ['path', { path: 1 }],
    ['path', { path: '/' }],
    ['other', { other: true }],
    ['readOnly', { readOnly: 'yes' }],
    ['authorize', { authorize: 'admin' }],
  ])('a wrong `%s` is refused at the start', (option, options) => {
    expect(() => resolveDashboardOptions(options as SemaphoreDashboardOptions)).toThrow(
      expect.objectContaining({ code: 'SEMAPHORE_INVALID_OPTIONS', option }),
    );
  });
});
