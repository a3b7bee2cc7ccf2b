import { describe, expect, test } from 'vitest';
import { Refusal } from '../../src/testing/refusal.js';
import { allowedMethods, PathParams, type Route, Router } from '../../src/testing/router.js';

const route = (path: string, methods: readonly string[] = ['GET']): Route => ({
  path,
  methods,
  summary: '',
  handler: () => {},
});

const router = new Router(
  [
    '/',
    '/get',
    '/bytes/{n:int}',
    '/basic/{user}/{password}',
    '/any',
    '/any/{rest:path}',
    '/two/{a}',
    '/two/{a}/{b}',
  ].map((path) => route(path)),
);

describe('Router.find()', () => {
  test.each([
    { path: '/', pattern: '/', params: {} },
    { path: '/get', pattern: '/get', params: {} },
    { path: '/bytes/12', pattern: '/bytes/{n:int}', params: { n: '12' } },
    { path: '/basic/a%2Fb/%C3%A9', pattern: '/basic/{user}/{password}', params: { user: 'a/b', password: 'é' } },
    { path: '/any', pattern: '/any', params: {} },
    { path: '/any/', pattern: '/any/{rest:path}', params: { rest: '' } },
    { path: '/any/x/y%20z', pattern: '/any/{rest:path}', params: { rest: 'x/y z' } },
    { path: '/two/1', pattern: '/two/{a}', params: { a: '1' } },
    { path: '/two/1/2', pattern: '/two/{a}/{b}', params: { a: '1', b: '2' } },
  ])('matches $path with $pattern', ({ path, pattern, params }) => {
    const found = router.find(path);
    expect(found?.route.path).toBe(pattern);
    for (const [name, value] of Object.entries(params)) expect(found?.params.text(name)).toBe(value);
  });

  test.each([
    '/nothing',
    '/get/',
    '/get/x',
    '/bytes/-1',
    '/bytes/x',
    '/bytes/',
    '/basic/a',
    '/basic//b',
    '/two/1/2/3',
    '*',
  ])('finds nothing for %s', (path) => expect(router.find(path)).toBeUndefined());

  test('refuses a path that is not percent-encoded UTF-8', () => {
    expect(() => router.find('/two/%E9')).toThrow(Refusal);
    expect(() => router.find('/two/%')).toThrow(Refusal);
  });
});

test('allowedMethods() adds HEAD to GET, and OPTIONS always', () => {
  expect(allowedMethods(route('/', ['GET', 'POST']))).toEqual(['GET', 'POST', 'HEAD', 'OPTIONS']);
  expect(allowedMethods(route('/', ['PUT']))).toEqual(['PUT', 'OPTIONS']);
});

test('PathParams gives texts and whole numbers, and an empty text for what the pattern lacks', () => {
  const params = new PathParams(new Map([['n', '12']]));
  expect(params.integer('n')).toBe(12);
  expect(params.text('n')).toBe('12');
  expect(params.text('other')).toBe('');
});
