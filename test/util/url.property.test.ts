import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LocationParseError } from '../../src/exceptions.js';
import { isSameOrigin, joinUrl, parseUrl, Url } from '../../src/util/url.js';

/** Text that has a fair chance of being a URL, or of being nearly one. */
const PIECES = [
  ...['http:', 'https:', 'HTTP:', 'socks5:', 'ftp:', '//', '/', '/', '?', '#', '@', ':', '\\', '[', ']', '[::1]'],
  ...['.', '..', './', '../', 'a', 'B', 'a.b', '80', '0', '0x7f', '127.0.0.1', '1', 'xn--', 'xn--bcher-kva', 'ü', '💩'],
  ...['%', '%41', '%2f', '%2e', '%zz', '%00', '%25', '\t', '\r\n', '\0', ' ', '\x7f', '\u3002', '\uff0f', '\u212a'],
  ...['\u017f', '\u0130', '\u00ad', '\u200d', '\ud800', '\udc00', '-', '_', '=', '&', ';', '"', '<', '|', '^', '\xff'],
];
const urlLike = () => fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((pieces) => pieces.join(''));
const anyText = () =>
  fc.oneof(
    urlLike(),
    fc.string({ unit: 'binary' }),
    urlLike().map((text) => `http://${text}`),
  );

/** The text parsed, or null where it is rejected as it may be. Any other error fails the property. */
function tryUrl(make: () => Url): Url | null {
  try {
    const url = make();
    expect(url).toBeInstanceOf(Url);
    return url;
  } catch (error) {
    if (error instanceof LocationParseError) return null;
    throw error;
  }
}

/** Runs the property over what parses, and fails if too little did to mean anything. */
function whateverParses(texts: fc.Arbitrary<string>, property: (url: Url, text: string) => void): void {
  let parsed = 0;
  fc.assert(
    fc.property(texts, (text) => {
      const url = tryUrl(() => parseUrl(text));
      if (url === null) return;
      parsed++;
      property(url, text);
    }),
    { numRuns: 2000 },
  );
  expect(parsed).toBeGreaterThan(200);
}

describe('parseUrl()', () => {
  test('answers any text with a Url or a LocationParseError, the same one each time', () => {
    whateverParses(anyText(), (url, text) => expect([...parseUrl(text)]).toEqual([...url]));
  });

  test('gives only visible ASCII without a backslash, in every part', () => {
    whateverParses(anyText(), (url) => {
      for (const part of url) expect(String(part ?? '')).toMatch(/^[!-[\]-~]*$/);
    });
  });

  test('gives delimiters only where they belong', () => {
    whateverParses(anyText(), (url) => {
      expect(url.auth ?? '').not.toMatch(/[@/?#[\]]/);
      expect(url.path ?? '/').toMatch(/^(?:\/[^?#[\]]*)?$/);
      expect(url.query ?? '').not.toMatch(/[#[\]]/);
      expect(url.requestUri).toMatch(/^\/[^#\s]*$/);
    });
  });

  test('gives a host that is a name, an IPv4 address or an IPv6 address, and nothing like one of them', () => {
    whateverParses(anyText(), ({ scheme, host }) => {
      // Hosts of schemes that are not ours are left as they are, percent-encoded.
      if (!host || (scheme !== null && !/^(?:https?|socks(?:4a?|5h?))$/.test(scheme))) return;
      if (host.startsWith('[')) return expect(isIPv6(host.slice(1, -1).replace('%25', '%'))).toBe(true);
      expect(host).toMatch(/^[a-z0-9~!$&'()*+,;=_-]{1,63}(?:\.[a-z0-9~!$&'()*+,;=_-]{1,63})*\.?$/);
      if (/(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$/.test(host)) expect(isIPv4(host)).toBe(true);
    });
  });

  test('understands its own output, and so does the parser of the web', () => {
    whateverParses(anyText(), (url) => {
      if (!url.host || url.scheme === null) return;
      expect([...parseUrl(url.url)]).toEqual([...url]);
      if (url.scheme.startsWith('http') && !url.host.includes('%')) {
        expect(new URL(url.url).hostname).toBe(url.host);
      }
    });
  });

  test('leaves no dot segment in a path of http', () => {
    whateverParses(anyText(), ({ scheme, path }) => {
      if (scheme === 'http' || scheme === null) expect(path?.split('/') ?? []).not.toContain('..');
      if (scheme === 'http' || scheme === null) expect(path?.split('/') ?? []).not.toContain('.');
    });
  });

  test('encodes so that decoding gives the text back', () => {
    const component = fc.string({ unit: 'grapheme' }).filter((text) => !/[%/?#]|^\.\.?$/.test(text));
    fc.assert(
      fc.property(component, component, component, (path, query, fragment) => {
        const url = parseUrl(`http://h/${path}?${query}#${fragment}`);
        const decoded = [url.path, url.query, url.fragment].map((part) => decodeURIComponent(part ?? ''));
        expect(decoded).toEqual([`/${path}`, query, fragment]);
      }),
    );
  });
});

describe('joinUrl()', () => {
  const base = parseUrl('http://user:secret@base.test:81/a/b?c#d');

  test('answers any reference with a Url or a LocationParseError', () => {
    fc.assert(
      fc.property(anyText(), anyText(), (baseText, reference) => {
        const from = tryUrl(() => parseUrl(baseText)) ?? base;
        const joined = tryUrl(() => joinUrl(from, reference));
        expect(joined?.url ?? '').toMatch(/^[!-~]*$/);
      }),
      { numRuns: 2000 },
    );
  });

  test('gives for a whole URL what parseUrl() gives', () => {
    let compared = 0;
    fc.assert(
      fc.property(urlLike(), (text) => {
        const want = tryUrl(() => parseUrl(`http://${text}`));
        if (!want?.host) return;
        compared++;
        const onTheWire = Buffer.from(`http://${text}`, 'utf8').toString('latin1');
        expect([...joinUrl(base, onTheWire)]).toEqual([...want]);
      }),
      { numRuns: 2000 },
    );
    expect(compared).toBeGreaterThan(100);
  });

  test('carries the user-info to no other authority', () => {
    fc.assert(
      fc.property(anyText(), (reference) => {
        const joined = tryUrl(() => joinUrl(base, reference));
        if (joined === null || isSameOrigin(joined, base)) return;
        expect(joined.url).not.toContain('secret');
      }),
      { numRuns: 2000 },
    );
  });

  test('stays at the origin for a reference that begins with one slash and something else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(joinUrl(base, `/.${text}`).origin).toBe('http://base.test:81');
        expect(joinUrl(base, `/\\${text}`).origin).toBe('http://base.test:81');
      }),
    );
  });

  test('removes dot segments as the steps of RFC 3986 section 5.2.4 do', () => {
    const segments = fc.array(fc.constantFrom('.', '..', '', 'a', 'b.', '...'), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(segments, (parts) => {
        const path = `/x/${parts.join('/')}`; // not '//', which would be an authority
        expect(joinUrl(parseUrl('http://h/q'), path).path).toBe(removeDotSegmentsByTheLetter(path));
      }),
      { numRuns: 2000 },
    );
  });
});

/** The five steps of section 5.2.4, as they stand there. */
function removeDotSegmentsByTheLetter(path: string): string {
  let input = path;
  let output = '';
  while (input !== '') {
    if (/^\.\.?\//.test(input)) input = input.replace(/^\.\.?\//, '');
    else if (/^\/\.(?:\/|$)/.test(input)) input = input.replace(/^\/\.(?:\/|$)/, '/');
    else if (/^\/\.\.(?:\/|$)/.test(input)) {
      input = input.replace(/^\/\.\.(?:\/|$)/, '/');
      output = output.replace(/\/?[^/]*$/, '');
    } else if (input === '.' || input === '..') input = '';
    else {
      const segment = /^\/?[^/]*/.exec(input)?.[0] ?? '';
      output += segment;
      input = input.slice(segment.length);
    }
  }
  return output;
}
