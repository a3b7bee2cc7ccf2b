import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidHeader, ProtocolError } from '../../src/exceptions.js';
import { HeadScanner } from '../../src/http1/head-scanner.js';
import { DEFAULT_RESPONSE_LIMITS } from '../../src/http1/limits.js';
import { type Framing, interpretHead, type ResponseHead } from '../../src/http1/response-head.js';

const LENGTH_5: Framing = { kind: 'length', length: 5 };
const NONE: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const UNTIL_CLOSE: Framing = { kind: 'close-delimited' };

describe('interpretHead() gives version, status and reason', () => {
  test.each([
    ['HTTP/1.1 200 OK', { version: 11, status: 200, reason: 'OK' }],
    ['HTTP/1.0 404 Not Found', { version: 10, status: 404, reason: 'Not Found' }],
    ['HTTP/1.1 200 ', { version: 11, status: 200, reason: '' }],
    ['HTTP/1.1 200', { version: 11, status: 200, reason: '' }],
    ['HTTP/1.1 999 x', { version: 11, status: 999, reason: 'x' }],
    ['HTTP/1.1 100 Continue', { version: 11, status: 100, reason: 'Continue' }],
    ['HTTP/1.1 500  \t Gr\xfc\xdfe ', { version: 11, status: 500, reason: ' \t Gr\xfc\xdfe ' }],
  ])('%j', (statusLine, want) => {
    for (const fields of ['', 'A: b\r\n', 'A:\r\nB:\tc \r\n']) {
      expect(interpreted(`${statusLine}\r\n${fields}\r\n`)).toMatchObject({ ...want, fieldSection: fields });
    }
  });
});

test('interpretHead() holds no connection for persistent that has become a tunnel', () => {
  expect(interpreted('HTTP/1.1 200 OK\r\n\r\n', 'CONNECT').persistent).toBe(false);
  expect(interpreted('HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n', 'CONNECT').persistent).toBe(true);
});

describe('interpretHead() frames (RFC 9112 section 6.3)', () => {
  test.each<{ name: string; fields: string; framing: Framing; status?: number; method?: string; version?: string }>([
    { name: '1: no content for HEAD', method: 'HEAD', fields: 'Content-Length: 5\r\n', framing: NONE },
    { name: '1: no chunked content for HEAD', method: 'HEAD', fields: 'Transfer-Encoding: chunked\r\n', framing: NONE },
    { name: '1: HEAD and nothing announced', method: 'HEAD', fields: '', framing: NONE },
    { name: '1: interim, with a length', status: 100, fields: 'Content-Length: 5\r\n', framing: NONE },
    { name: '1: interim, chunked', status: 199, fields: 'Transfer-Encoding: chunked\r\n', framing: NONE },
    { name: '1: 204', status: 204, fields: 'Content-Length: 5\r\n', framing: NONE },
    { name: '1: 304', status: 304, fields: 'Transfer-Encoding: chunked\r\n', framing: NONE },
    { name: '1 is not for 200 to 203', status: 203, fields: 'Content-Length: 5\r\n', framing: LENGTH_5 },
    { name: '1 is not for 205', status: 205, fields: 'Content-Length: 5\r\n', framing: LENGTH_5 },
    {
      name: '2: a tunnel, whatever is announced',
      method: 'CONNECT',
      fields: 'Content-Length: x\r\nTransfer-Encoding: gzip\r\n',
      framing: NONE,
    },
    { name: '2 is for 2xx only', method: 'CONNECT', status: 407, fields: 'Content-Length: 5\r\n', framing: LENGTH_5 },
    { name: '4: chunked', fields: 'Transfer-Encoding: chunked\r\n', framing: CHUNKED },
    { name: '4: chunked in other cases and blanks', fields: 'TRANSFER-ENCODING:\t ChunKED \t\r\n', framing: CHUNKED },
    { name: '6: a length', fields: 'Content-Length: 5\r\n', framing: LENGTH_5 },
    { name: '6: a length in other cases and blanks', fields: 'content-LENGTH:\t5 \r\n', framing: LENGTH_5 },
    { name: '6: a length with zeros', fields: 'Content-Length: 005\r\n', framing: LENGTH_5 },
    { name: '6: a length in HTTP/1.0', version: '1.0', fields: 'Content-Length: 5\r\n', framing: LENGTH_5 },
    { name: '6: no content of length 0', fields: 'Content-Length: 0\r\n', framing: NONE },
    {
      name: '6: 2^53-1',
      fields: 'Content-Length: 9007199254740991\r\n',
      framing: { kind: 'length', length: 2 ** 53 - 1 },
    },
    {
      name: '5: equal lengths in two lines',
      fields: 'Content-Length: 5\r\nA: b\r\ncontent-length:5\r\n',
      framing: LENGTH_5,
    },
    { name: '5: equal lengths in a list', fields: 'Content-Length: 5, 5 ,\t5\r\n', framing: LENGTH_5 },
    { name: '8: until close', fields: '', framing: UNTIL_CLOSE },
    { name: '8: until close in HTTP/1.0', version: '1.0', fields: 'A: b\r\n', framing: UNTIL_CLOSE },
    {
      name: '8: names that look alike',
      fields: 'Content_Length: 5\r\nContent-Lengtg: 5\r\nTransfer_Encoding: chunked\r\n',
      framing: UNTIL_CLOSE,
    },
  ])('$name', ({ fields, framing, status = 200, method = 'GET', version = '1.1' }) => {
    const head = interpreted(`HTTP/${version} ${status} OK\r\n${fields}\r\n`, method);
    expect(head.framing).toEqual(framing);
    expect(head.fieldSection).toBe(fields);
  });

  test.each<{ name: string; fields: string; why: string; version?: string }>([
    {
      name: 'both framings',
      fields: 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n',
      why: 'both Transfer-Encoding and Content-Length are there',
    },
    {
      name: 'both framings, the other way round',
      fields: 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
      why: 'both Transfer-Encoding and Content-Length are there',
    },
    {
      name: 'both framings, both empty',
      fields: 'Content-Length:\r\nTransfer-Encoding:\r\n',
      why: 'both Transfer-Encoding and Content-Length are there',
    },
    {
      name: 'Transfer-Encoding in HTTP/1.0',
      version: '1.0',
      fields: 'Transfer-Encoding: chunked\r\n',
      why: 'Transfer-Encoding in an HTTP/1.0 response',
    },
    ...[
      '',
      'gzip',
      'identity',
      'xchunked',
      'chunkedx',
      'chunked, chunked',
      'gzip, chunked',
      'chunked, identity',
      'chunked,',
      ',chunked',
      'chunked;q=1',
      '"chunked"',
      'chunked chunked',
      '\xa0chunked',
    ].map((value) => ({
      name: `Transfer-Encoding ${JSON.stringify(value)}`,
      fields: `Transfer-Encoding: ${value}\r\n`,
      why: `Transfer-Encoding is ${JSON.stringify(value)}, and only a single "chunked" is understood`,
    })),
    {
      name: 'two lines of Transfer-Encoding',
      fields: 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
      why: 'Transfer-Encoding is "chunked,chunked", and only a single "chunked" is understood',
    },
    {
      name: 'an empty line of Transfer-Encoding too many',
      fields: 'Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n',
      why: 'Transfer-Encoding is ",chunked", and only a single "chunked" is understood',
    },
    ...[
      '',
      '+5',
      '-5',
      '0x5',
      '5e0',
      '5.0',
      '5 5',
      '1_0',
      '5;',
      '5,',
      ',5',
      '5, x',
      '5, 6',
      '5,,5',
      '5, 05',
      'five',
      '\xa05',
      '\xb2',
    ].map((value) => ({
      name: `Content-Length ${JSON.stringify(value)}`,
      fields: `Content-Length: ${value}\r\n`,
      why: `Content-Length is ${JSON.stringify(value)}`,
    })),
    {
      name: 'two lengths in two lines',
      fields: 'Content-Length: 5\r\nContent-Length: 6\r\n',
      why: 'Content-Length is "5,6"',
    },
    {
      name: 'a length and an empty line',
      fields: 'Content-Length: 5\r\nContent-Length:\r\n',
      why: 'Content-Length is "5,"',
    },
    ...['9007199254740992', '9007199254740993', '18446744073709551615', '9'.repeat(400)].map((value) => ({
      name: `Content-Length ${value.slice(0, 30)}`,
      fields: `Content-Length: ${value}\r\n`,
      why: `Content-Length "${value.slice(0, 120)}`,
    })),
  ])('not: $name', ({ fields, why, version = '1.1' }) => {
    for (const [method, status] of [
      ['GET', 200],
      ['HEAD', 200],
      ['GET', 204],
      ['GET', 100],
    ] as const) {
      const failure = failureOf(() => interpreted(`HTTP/${version} ${status} OK\r\n${fields}\r\n`, method));
      expect(failure).toBeInstanceOf(ProtocolError);
      expect(failure.message).toContain(`Ambiguous framing of the response: ${why}`);
      expect(failure.cause).toBeInstanceOf(InvalidHeader);
    }
  });

  test('as plain patterns do, for any lengths', () => {
    const values = fc.string({ unit: fc.constantFrom('0', '5', '9', ',', ' ', '\t', '+', 'x'), maxLength: 6 });
    fc.assert(
      fc.property(fc.array(values, { minLength: 1, maxLength: 3 }), (lines) => {
        const members = lines
          .join(',')
          .split(',')
          .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''));
        const isLength = members.every((member) => /^[0-9]+$/.test(member)) && new Set(members).size === 1;
        const wire = `HTTP/1.1 200 OK\r\n${lines.map((value) => `Content-Length:${value}\r\n`).join('')}\r\n`;
        if (!isLength) expect(() => interpreted(wire)).toThrow(ProtocolError);
        else
          expect(interpreted(wire).framing).toEqual(
            Number(members[0]) === 0 ? NONE : { kind: 'length', length: Number(members[0]) },
          );
      }),
      { numRuns: 1000 },
    );
  });
});

describe('interpretHead() tells whether the connection stays (RFC 9112 section 9.3)', () => {
  const length = 'Content-Length: 5\r\n';

  test.each<[version: '1.0' | '1.1', fields: string, persistent: boolean]>([
    ['1.1', length, true],
    ['1.0', length, false],
    ['1.1', `${length}Connection: close\r\n`, false],
    ['1.1', `${length}connection:CLOSE\r\n`, false],
    ['1.1', `${length}Connection: keep-alive\r\n`, true],
    ['1.1', `${length}Connection: keep-alive, close\r\n`, false],
    ['1.1', `${length}Connection: keep-alive\r\nConnection: te ,\tClose\r\n`, false],
    ['1.1', `${length}Connection:\r\n`, true],
    ['1.1', `${length}Connection: closed, not-close, "close"\r\n`, true],
    ['1.1', `${length}Proxy-Connection: close\r\n`, true],
    ['1.0', `${length}Connection: Keep-Alive\r\n`, true],
    ['1.0', `${length}Connection: te, keep-alive\r\n`, true],
    ['1.0', `${length}Connection: keep-alive, close\r\n`, false],
    ['1.0', `${length}Connection: te\r\n`, false],
    ['1.0', `${length}Connection: keep-alives\r\n`, false],
    ['1.1', 'Connection: keep-alive\r\n', false],
    ['1.0', 'Connection: keep-alive\r\n', false],
    ['1.1', 'Transfer-Encoding: chunked\r\n', true],
  ])('HTTP/%s %j: %j', (version, fields, persistent) => {
    expect(interpreted(`HTTP/${version} 200 OK\r\n${fields}\r\n`).persistent).toBe(persistent);
  });

  test.each([
    ['timeout=5', 5],
    ['timeout=5, max=100', 5],
    ['max=100,\tTimeout=0', 0],
    ['timeout=123456789', 123456789],
    ['timeout=1234567890', undefined],
    ['timeout=', undefined],
    ['timeout=-1', undefined],
    ['timeout=5s', undefined],
    ['timeout="5"', undefined],
    ['timeout = 5', undefined],
    ['xtimeout=5', undefined],
    ['max=100', undefined],
    ['', undefined],
  ])('and how long idle, Keep-Alive: %j: %j', (value, want) => {
    expect(interpreted(`HTTP/1.1 204\r\nKeep-Alive: ${value}\r\n\r\n`).keepAliveSeconds).toBe(want);
  });

  test('and how long idle, with several lines, or none', () => {
    const wire = 'HTTP/1.1 204\r\nkeep-ALIVE: max=1\r\nKeep-Alive: timeout=7\r\nKeep-Alive: timeout=8\r\n\r\n';
    expect(interpreted(wire).keepAliveSeconds).toBe(7);
    expect(interpreted('HTTP/1.1 204\r\n\r\n').keepAliveSeconds).toBeUndefined();
  });
});

test('interpretHead() gives the content codings, several lines as one list', () => {
  const encoding = (fields: string) => interpreted(`HTTP/1.1 204\r\n${fields}\r\n`).contentEncoding;
  expect(encoding('Content-Encoding:\t gzip \r\n')).toBe('gzip');
  expect(encoding('content-encoding: deflate\r\nA: b\r\nContent-Encoding: br, gzip\r\n')).toBe('deflate,br, gzip');
  expect(encoding('Content-Encoding:\r\n')).toBe('');
  expect(encoding('Accept-Encodings: gzip\r\nContent_Encoding: gzip\r\n')).toBeUndefined();
});

function interpreted(wire: string, method = 'GET'): ResponseHead {
  const scanner = new HeadScanner(DEFAULT_RESPONSE_LIMITS);
  scanner.beginHead();
  const bytes = Buffer.from(wire, 'latin1');
  expect(scanner.scan(bytes, 0, bytes.length)).toBe(bytes.length);
  return interpretHead(scanner, method);
}

function failureOf(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  return expect.fail('nothing was thrown');
}
