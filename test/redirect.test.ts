import { describe, expect, test } from 'vitest';
import { bodySource, NO_BODY } from '../src/body/source.js';
import { redirectedRequest } from '../src/redirect.js';
import { Retry } from '../src/util/retry.js';

const BODY = bodySource('content');
const REMOVED = Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT;

describe('redirectedRequest()', () => {
  test.each(
    [301, 302, 307, 308].flatMap((status) =>
      ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'].map((method) => ({ status, method })),
    ),
  )('keeps method, fields and body of a $method on $status to the same origin', ({ status, method }) => {
    const request = {
      method,
      lines: [
        ['Authorization', 'x'],
        ['Content-Type', 'a/b'],
      ] as const,
      body: BODY,
    };
    expect(redirectedRequest(request, status, true, REMOVED)).toEqual(request);
  });

  test.each([
    ['GET', 'GET'],
    ['POST', 'GET'],
    ['PUT', 'GET'],
    ['DELETE', 'GET'],
    ['HEAD', 'HEAD'],
  ])(
    'SEC-055 (CVE-2023-45803): a 303 to a %s makes a %s without content and what says something of it',
    (method, next) => {
      const lines = [
        ['Content-Encoding', 'gzip'],
        ['content-language', 'de'],
        ['CONTENT-LOCATION', '/'],
        ['Content-Type', 'a/b'],
        ['Content-Length', '7'],
        ['Digest', 'x'],
        ['Last-Modified', 'x'],
        ['Transfer-Encoding', 'chunked'],
        ['X-Kept', '1'],
        ['Authorization', 'x'],
      ] as const;
      expect(redirectedRequest({ method, lines, body: BODY }, 303, true, REMOVED)).toEqual({
        method: next,
        lines: [
          ['X-Kept', '1'],
          ['Authorization', 'x'],
        ],
        body: NO_BODY,
      });
    },
  );

  test('drops what another origin must not see, in every spelling and every copy, and Host', () => {
    const lines = [
      ['authorization', '1'],
      ['AUTHORIZATION', '2'],
      ['Cookie', 'a=b'],
      ['cOOKIE', 'c=d'],
      ['Proxy-Authorization', 'x'],
      ['HOST', 'a.test'],
      ['X-Api-Key', 'x'],
      ['X-Kept', '1'],
    ] as const;
    const next = redirectedRequest(
      { method: 'GET', lines, body: NO_BODY },
      302,
      false,
      new Set([...REMOVED, 'X-API-KEY']),
    );
    expect(next.lines).toEqual([['X-Kept', '1']]);
  });
});
