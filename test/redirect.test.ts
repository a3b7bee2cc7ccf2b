import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bodySource, NO_BODY } from '../src/body/source.js';
import type { FieldLine } from '../src/http1/request-head.js';
import { checkCrossOriginHeaders, type RedirectStep, redirectedRequest } from '../src/redirect.js';
import { Retry } from '../src/util/retry.js';

const BODY = bodySource('content');
const REMOVED = Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT;

const WITHIN = { isSameOrigin: true, removed: REMOVED, crossOriginHeaders: 'safelist' } as const;
const ACROSS = { isSameOrigin: false, removed: REMOVED, crossOriginHeaders: 'strip' } as const;

/** The fields of the next hop. */
function carried(lines: readonly FieldLine[], step: Partial<RedirectStep>): readonly FieldLine[] {
  return redirectedRequest({ method: 'GET', lines, body: NO_BODY }, { ...ACROSS, status: 302, ...step }).lines;
}

/** Every letter of `name` is a capital or not, as the bits of `spelling` say. */
function spelt(name: string, spelling: number): string {
  return [...name].map((letter, at) => ((spelling >> (at % 31)) & 1 ? letter.toUpperCase() : letter)).join('');
}

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
    expect(redirectedRequest(request, { ...WITHIN, status })).toEqual(request);
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
      expect(redirectedRequest({ method, lines, body: BODY }, { ...WITHIN, status: 303 })).toEqual({
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
      ['X-Secret', 'x'],
      ['X-Kept', '1'],
    ] as const;
    const removed = new Set([...REMOVED, 'X-SECRET']);
    expect(carried(lines, { removed })).toEqual([['X-Kept', '1']]);
  });

  test('does not change the lists that it is given', () => {
    const lines = Object.freeze([['Cookie', 'a=b'] as const]);
    const removed = new Set(['Cookie']);
    expect(carried(lines, { removed, status: 303 })).toEqual([]);
    expect(lines).toHaveLength(1);
    expect([...removed]).toEqual(['Cookie']);
  });
});

describe('SEC-054 (CVE-2026-40895): redirectedRequest() and the credential fields that no RFC knows', () => {
  test('another origin sees none of the default set, whatever the spelling and the number of copies', () => {
    const field = fc.tuple(fc.constantFrom(...REMOVED), fc.nat(2 ** 31 - 1), fc.string());
    fc.assert(
      fc.property(fc.array(field), (fields) => {
        const lines = fields.map(([name, spelling, value]): FieldLine => [spelt(name, spelling), value]);
        expect(carried([...lines, ['X-Kept', '1'], ...lines], {})).toEqual([['X-Kept', '1']]);
        expect(carried(lines, { isSameOrigin: true })).toEqual(lines);
      }),
    );
  });

  test('what is given in place of the default set replaces it', () => {
    const lines = [
      ['X-Api-Key', '1'],
      ['X-Mine', '2'],
    ] as const;
    expect(carried(lines, { removed: new Set(['x-mine']) })).toEqual([['X-Api-Key', '1']]);
    expect(carried(lines, { removed: new Set() })).toEqual(lines);
  });
});

describe("redirectedRequest() with crossOriginHeaders: 'safelist'", () => {
  const SAFE = [
    'Accept',
    'Accept-Charset',
    'Accept-Encoding',
    'Accept-Language',
    'Cache-Control',
    'Connection',
    'Content-Digest',
    'Content-Encoding',
    'Content-Language',
    'Content-Length',
    'Content-Type',
    'DNT',
    'Digest',
    'Expect',
    'If-Match',
    'If-Modified-Since',
    'If-None-Match',
    'If-Range',
    'If-Unmodified-Since',
    'Pragma',
    'Priority',
    'Range',
    'Repr-Digest',
    'Sec-GPC',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'User-Agent',
  ];
  const safeNames: ReadonlySet<string> = new Set(SAFE.map((name) => name.toLowerCase()));
  const fieldName = fc.oneof(
    fc.constantFrom(
      ...SAFE,
      ...REMOVED,
      'Host',
      'From',
      'Referer',
      'Origin',
      'Forwarded',
      'Via',
      'X-Request-Id',
      'acc',
    ),
    fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/),
  );
  const fieldLine = fc
    .tuple(fieldName, fc.nat(2 ** 31 - 1), fc.string())
    .map(([name, spelling, value]): FieldLine => [spelt(name, spelling), value]);

  test('lets only harmless fields through to another origin, in any spelling and every copy', () => {
    fc.assert(
      fc.property(fc.array(fieldLine), (lines) => {
        const wanted = lines.filter(([name]) => safeNames.has(name.toLowerCase()));
        expect(carried(lines, { crossOriginHeaders: 'safelist' })).toEqual(wanted);
        expect(carried(lines, { crossOriginHeaders: 'safelist', isSameOrigin: true })).toEqual(lines);
      }),
    );
  });

  test('keeps each harmless field', () => {
    const lines = SAFE.map((name): FieldLine => [name, 'x']);
    expect(carried(lines, { crossOriginHeaders: 'safelist' })).toEqual(lines);
  });

  test('keeps content with its fields on 307, and drops both on 303', () => {
    const lines = [
      ['Content-Type', 'a/b'],
      ['Transfer-Encoding', 'chunked'],
      ['Accept', 'c/d'],
    ] as const;
    const request = { method: 'POST', lines, body: BODY };
    const step = { ...ACROSS, crossOriginHeaders: 'safelist' } as const;
    expect(redirectedRequest(request, { ...step, status: 307 })).toEqual(request);
    expect(redirectedRequest(request, { ...step, status: 303 })).toEqual({
      method: 'GET',
      lines: [['Accept', 'c/d']],
      body: NO_BODY,
    });
  });

  test('still drops what removeHeadersOnRedirect names', () => {
    const lines = [
      ['User-Agent', 'me'],
      ['Accept', 'a/b'],
    ] as const;
    expect(carried(lines, { crossOriginHeaders: 'safelist', removed: new Set(['USER-AGENT']) })).toEqual([
      ['Accept', 'a/b'],
    ]);
  });
});

describe('checkCrossOriginHeaders()', () => {
  test.each(['strip', 'safelist'])('takes "%s"', (policy) => {
    expect(checkCrossOriginHeaders(policy)).toBe(policy);
  });

  test.each([
    ['Safelist', '"Safelist"'],
    [true, 'true'],
    [null, 'null'],
    [['strip'], 'an array'],
  ])('rejects %j', (value, shown) => {
    expect(() => checkCrossOriginHeaders(value)).toThrow(
      new TypeError(`Cannot use crossOriginHeaders ${shown}: it must be "strip" or "safelist"`),
    );
  });
});
