import { expect, test } from '@jest/globals';
import { type Route, Router } from '../../../lib/http/router.js';
import { thrown } from '../../support/semaphores.js';

const routes: Route[] = [
  { method: 'GET', path: '/events', noHead: true },
  { method: 'GET', path: '/items/{key}/parts' },
  { method: 'PUT', path: '/items/{key}/parts' },
];
const router = new Router(routes);

test('the beginning of a path is no path', () => {
  expect(router.find('GET', '/items/a/parts')?.params).toEqual({ key: 'a' });
  expect(router.find('GET', '/items/a')).toBeUndefined();
});

test('HEAD is GET, where that does not begin something that lasts', () => {
  expect(router.find('HEAD', '/items/a/parts')?.route.method).toBe('GET');
  expect(thrown(() => router.find('HEAD', '/events'))).toMatchObject({ statusCode: 405 });
});

test('a method that is not possible is answered with those that are', () => {
  expect(thrown(() => router.find('DELETE', '/items/a/parts'))).toMatchObject({
    statusCode: 405,
    headers: { allow: 'GET, PUT' },
  });
});
