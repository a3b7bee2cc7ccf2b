/**
 * Security cases of reading responses, as far as the codec alone can show them: bytes in, meaning or refusal out. That the
 * socket is destroyed and the next request gets its own answer is shown over sockets, elsewhere.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test } from 'vitest';
import { IncompleteRead, InvalidChunkLength, InvalidHeader, ProtocolError } from '../../src/exceptions.js';
import { DEFAULT_RESPONSE_LIMITS } from '../../src/http1/limits.js';
import { ResponseParser } from '../../src/http1/response-parser.js';
import { type ReceiveOptions, receive, receiveInAllShapes, receiveNext } from '../http1/receive.js';

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

/** The error with which every shape of the wire is refused. */
function refusal(wire: string, options: ReceiveOptions = {}): Error {
  const { outcome } = receiveInAllShapes(wire, options);
  expect(outcome, JSON.stringify(wire)).toBeInstanceOf(ProtocolError);
  return outcome instanceof Error ? outcome : expect.fail('it was not refused');
}

const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

describe('SEC-028 (CVE-2015-5739, CVE-2015-5740, CVE-2015-5741, CVE-2023-47641, CVE-2020-10109): two framings in one head are refused', () => {
  const chunked = 'Transfer-Encoding: chunked\r\n';

  test.each(['0', '5', '500', '', 'x', '5, 6'])(
    'ResponseParser gives nothing of a body that has both, length %j',
    (length) => {
      const line = `Content-Length: ${length}\r\n`;
      for (const fields of [chunked + line, line + chunked, `${line}A: b\r\n${chunked}`]) {
        for (const status of [200, 204, 304, 100]) {
          const wire = `HTTP/1.1 ${status} X\r\n${fields}\r\n5\r\nhello\r\n0\r\n\r\n`;
          expect(refusal(wire).message).toBe(
            'Ambiguous framing of the response: both Transfer-Encoding and Content-Length are there',
          );
          expect(receiveInAllShapes(wire)).toMatchObject({ head: null, interims: [], content: '' });
        }
      }
    },
  );
});

describe('SEC-029 (CVE-2020-10108, CVE-2020-8287): lengths that differ are refused, equal ones count as one', () => {
  test.each([
    '5\r\nContent-Length: 6',
    '6\r\ncontent-length: 5',
    '5, 6',
    '6,5',
    '5, 5, 6',
    '5,',
    ',5',
    '5, x',
    '5,,5',
    '5\r\nContent-Length:',
  ])('ResponseParser refuses %j', (value) => {
    expect(refusal(`${OK}Content-Length: ${value}\r\n\r\nhello!`).cause).toBeInstanceOf(InvalidHeader);
  });

  test.each(['5, 5', '5,5,5', '5\r\nContent-Length: 5', '5\r\nCONTENT-LENGTH: 5, 5'])(
    'ResponseParser reads %j as 5',
    (value) => {
      const { content, leftover, outcome } = receiveInAllShapes(`${OK}Content-Length: ${value}\r\n\r\nhello!`);
      expect({ content, leftover, outcome }).toEqual({ content: 'hello', leftover: '!', outcome: 'complete' });
    },
  );
});

describe('SEC-030 (CVE-2018-7159, CVE-2021-32715, GHSA-qppv-j76h-2rpx, CVE-2020-8201, CVE-2025-69225): a length is digits and nothing else', () => {
  test.each([
    '+5',
    '-5',
    '-0',
    '0x5',
    '5e0',
    '5.0',
    '5 5',
    '5\t5',
    '1_0',
    '',
    ' \t ',
    '5;',
    '"5"',
    '5\xa0',
    '\xa05',
    '\xd9\xa5',
    '\xb5',
    '\xef\xbb\xbf5',
    'NaN',
    'Infinity',
  ])('ResponseParser refuses %j', (value) => {
    expect(refusal(`${OK}Content-Length: ${value}\r\n\r\nhello`).cause).toBeInstanceOf(InvalidHeader);
  });

  test('ResponseParser takes no other name for Content-Length', () => {
    expect(refusal(`${OK}Content\rLength: 5\r\n\r\nhello`).message).toMatch(/field name/);
    for (const name of ['Content_Length', 'Content-Lengths', 'XContent-Length', 'ContentLength']) {
      expect(receiveInAllShapes(`${OK}${name}: 2\r\n\r\nhello`, { closes: true })).toMatchObject({ content: 'hello' });
    }
  });
});

describe('SEC-031 (CVE-2021-32714, CVE-2025-13836): huge lengths are neither rounded nor allocated', () => {
  test.each([
    '9007199254740992',
    '9007199254740993',
    '18446744073709551615',
    '18446744073709551621',
    '1'.padEnd(400, '0'),
  ])('ResponseParser refuses a length of %s', (length) => {
    expect(refusal(`${OK}Content-Length: ${length}\r\n\r\nhello`, { closes: true }).message).toMatch(/is too large$/);
  });

  test.each(['20000000000000', '20000000000001', 'ffffffffffffffff', '10000000000000005', '8000000000000000'])(
    'ResponseParser refuses a chunk of %s',
    (size) => {
      expect(refusal(`${CHUNKED}${size}\r\nhello`, { closes: true }).cause).toBeInstanceOf(InvalidChunkLength);
    },
  );

  test.each([
    ['Content-Length: 1000000000000\r\n\r\n', 10 ** 12],
    ['Content-Length: 9007199254740991\r\n\r\n', 2 ** 53 - 1],
    ['Transfer-Encoding: chunked\r\n\r\ne8d4a51000\r\n', null],
  ])('ResponseParser holds no memory for what is only announced: %j', (fields, length) => {
    const kib = 'x'.repeat(1024);
    const before = process.memoryUsage();
    const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
    parser.begin('GET');
    expect(receiveNext(parser, [OK + fields, kib])).toMatchObject({ content: kib, outcome: 'waiting' });
    const after = process.memoryUsage();
    expect(after.external + after.arrayBuffers - before.external - before.arrayBuffers).toBeLessThan(2 ** 20);
    expect(parser.expectedBytes).toBe(length === null ? null : length - 1024);
    expect(() => parser.finish()).toThrow(ProtocolError);
  });
});

describe('SEC-032 (CVE-2022-1705, CVE-2019-15605, CVE-2022-32213, CVE-2022-32215, CVE-2021-21299): only a single "chunked" is a transfer coding', () => {
  const values = [
    ...[
      'xchunked',
      'chunkedchunked',
      'chunked, identity',
      'identity',
      'identity, chunked',
      'gzip',
      'gzip, chunked',
      'chunked;q=1',
    ],
    ...[
      '',
      ',',
      'chunked,',
      ',chunked',
      'chunked, chunked',
      'chunked chunked',
      '"chunked"',
      'chunke',
      'chunkedd',
      '\xa0chunked',
      'chunked\x85',
    ],
    ...[
      'chunked\r\nTransfer-Encoding: chunked',
      'identity\r\nTransfer-Encoding: chunked',
      'chunked\r\nTransfer-Encoding: identity',
    ],
    ...['\r\nTransfer-Encoding: chunked', 'chunked\r\ntransfer-encoding:'],
  ];
  test.each(values)('ResponseParser refuses %j', (value) => {
    const wire = `${OK}Transfer-Encoding: ${value}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
    expect(refusal(wire, { closes: true }).message).toMatch(/only a single "chunked" is understood$/);
    expect(receiveInAllShapes(wire)).toMatchObject({ head: null, content: '' });
  });

  test('ResponseParser refuses a control character before the coding', () => {
    expect(refusal(`${OK}Transfer-Encoding: \x0bchunked\r\n\r\n`).message).toMatch(
      /control character in a field value/,
    );
  });

  test('ResponseParser refuses the field in HTTP/1.0', () => {
    const wire = 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    expect(refusal(wire).message).toMatch(/in an HTTP\/1\.0 response$/);
  });

  test.each(['chunked', 'CHUNKED', ' \t chunked \t '])('ResponseParser reads %j', (value) => {
    const wire = `${OK}Transfer-Encoding:${value}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
    expect(receiveInAllShapes(wire)).toMatchObject({ content: 'hello', outcome: 'complete' });
  });
});

describe('SEC-033 (CVE-2022-32215, CVE-2024-27982, CVE-2019-16276, CVE-2021-22959): nothing folds or hides a field', () => {
  test.each([
    ['a blank before the colon', 'Content-Length : 5\r\n'],
    ['a tab before the colon', 'Content-Length\t: 5\r\n'],
    ['a blank before the first field', ' Content-Length: 5\r\n'],
    ['a tab before the first field', '\tContent-Length: 5\r\n'],
    ['a folded coding', 'Transfer-Encoding:\r\n chunked\r\n'],
    ['a folded length', 'Content-Length:\r\n\t5\r\n'],
    ['a folded Connection', 'Content-Length: 5\r\nConnection:\r\n close\r\n'],
    ['a fold elsewhere', 'X: a\r\n b\r\nContent-Length: 5\r\n'],
    ['a fold of nothing', 'X: a\r\n \r\nContent-Length: 5\r\n'],
    ['no name', ': 5\r\n'],
    ['no colon', 'Content-Length\r\n'],
  ])('ResponseParser refuses %s', (_, fields) => {
    expect(refusal(`${OK}${fields}\r\nhello`).message).toMatch(/field name/);
  });
});

describe('SEC-034 (CVE-2022-32214, CVE-2022-35256, CVE-2023-30589, CVE-2025-22871): LF alone ends no line', () => {
  test.each([
    ['of the status line', 'HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello'],
    ['of a status line without a reason', 'HTTP/1.1 200\nContent-Length: 5\r\n\r\nhello'],
    ['of a field', `${OK}A: b\nContent-Length: 5\r\n\r\nhello`],
    ['of the head', `${OK}Content-Length: 5\r\n\nhello`],
    ['of a whole head', 'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello'],
    ['of a chunk size', `${CHUNKED}5\nhello\r\n0\r\n\r\n`],
    ['of a chunk extension', `${CHUNKED}5;a\nhello\r\n0\r\n\r\n`],
    ['of the value of a chunk extension', `${CHUNKED}5;a=b\nhello\r\n0\r\n\r\n`],
    ['in a quoted chunk extension', `${CHUNKED}5;a="\n"\r\nhello\r\n0\r\n\r\n`],
    ['of chunk data', `${CHUNKED}5\r\nhello\n0\r\n\r\n`],
    ['of the last chunk', `${CHUNKED}0\n\r\n`],
    ['of a trailer', `${CHUNKED}0\r\nA: b\n\r\n`],
    ['of the trailers', `${CHUNKED}0\r\n\n`],
  ])('ResponseParser refuses it as the end %s', (_, wire) => {
    refusal(wire, { closes: true });
  });
});

describe('SEC-035 (CVE-2023-30589, CVE-2025-23167, CVE-2026-34519): CR is followed by LF, or refused', () => {
  test.each([
    ['in the version', 'HTTP/1.1\r200 OK\r\n\r\n'],
    ['after the status', 'HTTP/1.1 200\rOK\r\n\r\n'],
    ['in the reason', 'HTTP/1.1 200 O\rX: y\r\n\r\n'],
    ['in a name', `${OK}Content\r-Length: 5\r\n\r\n`],
    ['in a value', `${OK}X: a\rY: b\r\n\r\n`],
    ['twice at the end of a value', `${OK}X: a\r\r\n\r\n`],
    ['in place of the empty line', `${OK}X: a\r\n\rX`],
    ['in place of the empty line of a head without fields', `${OK}\rX`],
    ['in place of the empty line, doubled', `${OK}X: a\r\n\r\r\n`],
  ])('ResponseParser refuses it %s', (_, wire) => {
    expect(receiveInAllShapes(`${wire}evil`, { closes: true })).toMatchObject({
      head: null,
      content: '',
      outcome: expect.any(ProtocolError),
    });
  });
});

describe('SEC-036 (CVE-2026-34520, CVE-2016-2216, CVE-2016-2086, CVE-2024-52530): control bytes are refused, not skipped', () => {
  const controls = Array.from({ length: 0x80 }, (_, code) => code).filter(
    (code) => (code < 0x20 || code === 0x7f) && code !== 0x0a && code !== 0x0d,
  );

  test.each(controls)('ResponseParser refuses byte %i in a name, and all but HTAB in a value or reason', (code) => {
    const control = String.fromCharCode(code);
    for (const wire of [
      `${OK}Transfer-Encoding${control}: chunked\r\n\r\n`,
      `${OK}Transfer${control}-Encoding: chunked\r\n\r\n`,
      `${OK}${control}A: b\r\n\r\n`,
    ]) {
      expect(receiveInAllShapes(wire)).toMatchObject({ head: null, outcome: expect.any(ProtocolError) });
    }
    for (const wire of [
      `${OK}A: b${control}c\r\nContent-Length: 0\r\n\r\n`,
      `HTTP/1.1 200 O${control}K\r\nContent-Length: 0\r\n\r\n`,
    ]) {
      expect(receiveInAllShapes(wire).outcome).toEqual(control === '\t' ? 'complete' : expect.any(ProtocolError));
    }
  });
});

describe('SEC-037 (CVE-2023-47627, CVE-2024-23829): what does not begin as HTTP/1 does is no response', () => {
  test.each([
    ...[
      'HTTP/1.1 20',
      'HTTP/1.1 2x0 OK',
      'HTTP/1.1 +200 OK',
      'HTTP/1.1 -200 OK',
      'HTTP/1.1 1e2 OK',
      'HTTP/1.1 2000 OK',
      'HTTP/1.1 099 OK',
      'HTTP/1.1 000',
    ],
    ...[
      'HTTP/11.1 200 OK',
      'HTTP/1.10 200 OK',
      'HTTP/1.2 200 OK',
      'HTTP/1. 200 OK',
      'HTTP/1 200 OK',
      'HTTP/2 200 OK',
      'HTTP/2.0 200 OK',
      'HTTP/0.9 200 OK',
    ],
    ...[
      'ICY 200 OK',
      'http/1.1 200 OK',
      'HTTP/1.1  200 OK',
      'HTTP/1.1\t200 OK',
      'HTTP/1.1 200\tOK',
      ' HTTP/1.1 200 OK',
      '',
      'hello',
      '<html>',
      'HTTP/1.1 \xb2\xb0\xb0 OK',
    ],
  ])('ResponseParser refuses %j', (line) => {
    expect(receiveInAllShapes(`${line}\r\n\r\nhello`, { closes: true })).toMatchObject({
      head: null,
      content: '',
      outcome: expect.any(ProtocolError),
    });
  });

  test('ResponseParser reads any status from 100 to 999, and any reason or none', () => {
    for (const [line, status, reason] of [
      ['HTTP/1.1 200', 200, ''],
      ['HTTP/1.0 200 ', 200, ''],
      ['HTTP/1.1 600 Odd', 600, 'Odd'],
      ['HTTP/1.1 999 \t Gr\xfc\xdfe', 999, '\t Gr\xfc\xdfe'],
    ]) {
      expect(receiveInAllShapes(`${line}\r\nContent-Length: 0\r\n\r\n`)).toMatchObject({
        head: { status, reason },
        outcome: 'complete',
      });
    }
  });
});

describe('SEC-038 (CVE-2021-32714, CVE-2023-47627, GHSA-vqfr-h8mv-ghfj, CVE-2025-43859): a chunk size is 1 to 16 hexadecimal digits', () => {
  test.each([
    '0x5',
    '+5',
    '-5',
    ' 5',
    '\t5',
    '5_0',
    '_5',
    '',
    ';x',
    'g',
    '5g',
    '5 5',
    '5 ',
    '5\t',
    '5 ;a',
    '5\xa0',
    '00000000000000005',
    '\xef\xbc\x95',
    '\xb2',
    '5.',
    '5,',
    '1e1',
    '#5',
  ])('ResponseParser refuses %j', (size) => {
    const wire = `${CHUNKED}${size}\r\nhello\r\n0\r\n\r\n`;
    if (size === '1e1')
      return expect(receiveInAllShapes(wire, { closes: true })).toMatchObject({
        content: 'hello\r\n0\r\n\r\n',
        outcome: expect.any(ProtocolError),
      });
    expect(refusal(wire).cause).toBeInstanceOf(InvalidChunkLength);
    expect(receiveInAllShapes(wire).content).toBe('');
  });

  test.each(['5', '05', '0000000000000005', '5;a'])('ResponseParser reads %j', (size) => {
    expect(receiveInAllShapes(`${CHUNKED}${size}\r\nhello\r\n000\r\n\r\n`)).toMatchObject({
      content: 'hello',
      outcome: 'complete',
    });
  });
});

describe('SEC-039 (GHSA-vqfr-h8mv-ghfj, CVE-2025-43859): chunk data is followed by CRLF, which is looked at', () => {
  test.each(['XX', '\rX', '\nX', '\n\r', '\r\r', '\n\n', '  ', '0\r', ''])(
    'ResponseParser refuses %j in its place',
    (after) => {
      const wire = `${CHUNKED}5\r\nhello${after}0\r\n\r\n`;
      expect(refusal(wire).message).toMatch(/chunk data that is not followed by CRLF/);
      expect(receiveInAllShapes(wire).content).toBe('hello');
    },
  );

  test.each(['', '\r', '\r\n'])('ResponseParser calls a body incomplete that ends with %j after a chunk', (after) => {
    expect(refusal(`${CHUNKED}5\r\nhello${after}`, { closes: true }).cause).toBeInstanceOf(IncompleteRead);
  });
});

describe('SEC-040 (CVE-2021-22960, CVE-2024-22019, CVE-2024-52304, CVE-2025-22871): chunk extensions have one reading', () => {
  test.each([';a', ';a=b', ';a="b;c"', ';a="\\""', ';a="";b', ';a=b;c=d'])('ResponseParser skips %j', (extension) => {
    const wire = `${CHUNKED}5${extension}\r\nhello\r\n0${extension}\r\n\r\n`;
    expect(receiveInAllShapes(wire)).toMatchObject({ content: 'hello', outcome: 'complete' });
  });

  test.each([
    ';',
    ';;a',
    '; a',
    ';a ',
    ';a= b',
    ' ;a',
    ';a\rb',
    ';a\nb',
    ';a\0b',
    ';a="\r\n"',
    ';a="b',
    ';a="\\',
    ';a="b"c',
    ';a=b"c"',
    ';a="\0"',
    ';=b',
    ';a=',
  ])('ResponseParser refuses %j', (extension) => {
    const wire = `${CHUNKED}5${extension}\r\nhello\r\n0\r\n\r\n`;
    expect(refusal(wire, { closes: true }).message).toMatch(/^Malformed response: /);
    expect(receiveInAllShapes(wire).content).toBe('');
  });
});

describe('SEC-041 (CVE-2025-53643, CVE-2026-22815): trailers are kept apart, bounded, and change nothing', () => {
  test('ResponseParser leaves the head as it was, whatever the trailers say', () => {
    const trailers =
      'Content-Length: 3\r\nTransfer-Encoding: gzip\r\nSet-Cookie: a\r\nLocation: /\r\nContent-Encoding: gzip\r\nConnection: close\r\n__proto__: x\r\n';
    expect(receiveInAllShapes(`${CHUNKED}5\r\nhello\r\n0\r\n${trailers}\r\n`)).toMatchObject({
      head: { fieldSection: 'Transfer-Encoding: chunked\r\n', persistent: true, contentEncoding: undefined },
      content: 'hello',
      trailerSection: trailers,
      outcome: 'complete',
    });
  });

  test.each(['A\r\n', 'A : b\r\n', ' A: b\r\n', 'A: b\r\n c\r\n', ': b\r\n', 'A: \0\r\n', 'HTTP/1.1 200 OK\r\n'])(
    'ResponseParser refuses the trailer %j',
    (trailer) => {
      expect(refusal(`${CHUNKED}0\r\n${trailer}\r\n`).message).toMatch(/^Malformed response: /);
    },
  );

  test('ResponseParser keeps the limits of a head', () => {
    const trailers = `${CHUNKED}0\r\nA: b\r\nA: b\r\nA: b\r\n\r\n`;
    expect(receiveInAllShapes(trailers, { limits: { maxFields: 3 } }).outcome).toBe('complete');
    expect(refusal(trailers, { limits: { maxFields: 2 } }).message).toBe(
      'The response has more than 2 fields in one section',
    );
    const long = ['A'.repeat(65_537), `A: ${'b'.repeat(65_536)}`, 'A: b\r\n'.repeat(1999).padEnd(65_537, 'A')];
    for (const endless of long) {
      for (const pieces of [
        [CHUNKED, '0\r\n', endless],
        [CHUNKED, '0\r\n', ...endless],
      ]) {
        expect(receive(pieces).outcome).toEqual(
          new ProtocolError("The response's head or trailer section is longer than 65536 bytes"),
        );
      }
    }
  });
});

describe('SEC-042 (CVE-2026-84947): a body that ends early is never complete', () => {
  test.each([
    ['in a body of known length', `${OK}Content-Length: 5\r\n\r\nhel`, 3, 2],
    ['before its first byte', `${OK}Content-Length: 5\r\n\r\n`, 0, 5],
    ['in a chunk-size line', `${CHUNKED}5\r\nhello\r\n5`, 5, null],
    ['in a chunk extension', `${CHUNKED}5\r\nhello\r\n5;a`, 5, null],
    ['in a chunk', `${CHUNKED}5\r\nhel`, 3, null],
    ['after chunk data', `${CHUNKED}5\r\nhello`, 5, null],
    ['between chunks', `${CHUNKED}5\r\nhello\r\n`, 5, null],
    ['in the last chunk', `${CHUNKED}5\r\nhello\r\n0`, 5, null],
    ['before the trailers', `${CHUNKED}5\r\nhello\r\n0\r\n`, 5, null],
    ['in a trailer', `${CHUNKED}5\r\nhello\r\n0\r\nA: b`, 5, null],
    ['in the last CRLF', `${CHUNKED}5\r\nhello\r\n0\r\n\r`, 5, null],
  ])('ResponseParser.finish() gives an IncompleteRead with its counts, %s', (_, wire, partial, expected) => {
    const { cause } = refusal(wire, { closes: true });
    expect(cause).toBeInstanceOf(IncompleteRead);
    expect(cause).toMatchObject({ partial, expected });
  });

  test('ResponseParser.finish() refuses a head that is cut', () => {
    const head = `HTTP/1.1 100\r\n\r\n${OK}A: b\r\n\r\n`;
    for (let length = 0; length < head.length; length++) refusal(head.slice(0, length), { closes: true });
  });
});

describe('SEC-043 (CVE-2026-6733, GHSA-35p6-xmwp-9g52, CVE-2026-48931, RUSTSEC-2020-0093): bytes after a response belong to nobody', () => {
  const evil = `${OK}Content-Length: 4\r\n\r\nevil`;

  test.each([
    ['a body of known length', `${OK}Content-Length: 2\r\n\r\nok`],
    ['a chunked body', `${CHUNKED}2\r\nok\r\n0\r\n\r\n`],
    ['a body of no bytes', `${OK}Content-Length: 0\r\n\r\n`],
    ['a 204', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ])('ResponseParser counts them and gives them to nobody, after %s', (_, wire) => {
    const alone = receiveInAllShapes(wire);
    expect(alone.outcome).toBe('complete');
    for (const extra of [evil, '\r\n', 'x', '0\r\n\r\n']) {
      expect(receiveInAllShapes(wire + extra)).toEqual({ ...alone, leftover: extra });
    }
  });

  test('ResponseParser answers nothing to bytes that come while no response is asked for', () => {
    const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
    expect(receiveNext(parser, [evil])).toMatchObject({ head: null, content: '', outcome: 'waiting', leftover: evil });
  });
});

describe('SEC-044 (no id): a response without content is complete with its head', () => {
  test.each([
    ['HEAD', 200],
    ['HEAD', 404],
    ['GET', 204],
    ['GET', 304],
    ['POST', 204],
  ])('ResponseParser gives no content to %s and status %i', (method, status) => {
    for (const fields of ['', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Content-Length: 0\r\n']) {
      for (const extra of ['', 'hello', '5\r\nhello\r\n0\r\n\r\n']) {
        expect(receiveInAllShapes(`HTTP/1.1 ${status} X\r\n${fields}\r\n${extra}`, { method })).toMatchObject({
          head: { status, framing: { kind: 'none' }, persistent: true },
          content: '',
          leftover: extra,
          outcome: 'complete',
        });
      }
    }
  });
});

describe('SEC-045 (CVE-2021-3737, CVE-2024-24791): interim responses are skipped, an unasked 101 is refused', () => {
  test.each([100, 102, 103, 104, 199])(
    'ResponseParser skips %i and mixes none of it into the final response',
    (status) => {
      const interim = `HTTP/1.1 ${status} X\r\nContent-Length: 7\r\nSet-Cookie: evil\r\nContent-Encoding: gzip\r\nKeep-Alive: timeout=9\r\n\r\n`;
      expect(receiveInAllShapes(`${interim}${interim}${OK}Content-Length: 2\r\n\r\nok`)).toMatchObject({
        interims: [{ status }, { status }],
        head: {
          status: 200,
          fieldSection: 'Content-Length: 2\r\n',
          contentEncoding: undefined,
          keepAliveSeconds: undefined,
        },
        content: 'ok',
        outcome: 'complete',
      });
    },
  );

  test('ResponseParser gives an interim response no content, even one that is chunked', () => {
    const wire = `HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`;
    expect(receiveInAllShapes(wire)).toMatchObject({ content: 'ok', outcome: 'complete' });
    expect(refusal(`HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\nhello${OK}\r\n`).message).toMatch(
      /does not begin with "HTTP\/1\."/,
    );
  });

  test.each(['', 'HTTP/1.1 100\r\n\r\n'])('ResponseParser refuses 101 after %j', (before) => {
    for (const fields of ['', 'Connection: upgrade\r\nUpgrade: websocket\r\n']) {
      expect(refusal(`${before}HTTP/1.1 101 Switching Protocols\r\n${fields}\r\nevil`).message).toMatch(/status 101/);
    }
  });
});

describe('SEC-047 (CVE-2025-69224, CVE-2025-69225, CVE-2021-0341): protocol tokens fold in ASCII only', () => {
  test('ResponseParser takes no look-alike for a token, sent as UTF-8 or as latin1', () => {
    const utf8 = (text: string) => Buffer.from(text).toString('latin1');
    refusal(`${OK}Transfer-Encoding: ${utf8('chun\u212aed')}\r\n\r\n0\r\n\r\n`);
    refusal(`${OK}Tran${utf8('\u017f')}fer-Encoding: chunked\r\n\r\n0\r\n\r\n`);
    for (const option of [utf8('clo\u017fe'), 'clos\xc9', `\xa0close`, 'close\x85']) {
      expect(receiveInAllShapes(`${OK}Content-Length: 0\r\nConnection: ${option}\r\n\r\n`)).toMatchObject({
        head: { persistent: true },
      });
    }
    for (const option of [utf8('\u212aeep-alive'), 'keep-al\xecve']) {
      const wire = `HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: ${option}\r\n\r\n`;
      expect(receiveInAllShapes(wire)).toMatchObject({ head: { persistent: false } });
    }
  });
});

describe('SEC-108 (CVE-2013-1752, CVE-2023-38039, CVE-2021-31525, CVE-2026-54277): a line without end is refused at the limit, in every shape', () => {
  const endless = (begin: string) => begin + 'x'.repeat(200_000);

  test.each([
    ['a status line', 'HTTP/1.1 200 '],
    ['a field name', OK],
    ['a field value', `${OK}A: `],
    ['an interim head', 'HTTP/1.1 103 X\r\nA: '],
    ['a final head after interim ones', 'HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 '],
  ])('ResponseParser refuses %s', (_, begin) => {
    const wire = endless(begin);
    for (const pieces of [[wire], wire.match(/.{1,65536}/gs) ?? [], [...wire]]) {
      expect(receive(pieces).outcome).toEqual(
        new ProtocolError("The response's head or trailer section is longer than 65536 bytes"),
      );
    }
    const taken = wire.slice(0, begin.lastIndexOf('HTTP/') + 65_536);
    expect(receive([...taken]).outcome).toBe('waiting');
    expect(receive([...taken, 'x']).outcome).toBeInstanceOf(ProtocolError);
  });
});

describe('SEC-109 (CVE-2023-38039, CVE-2023-24534, CVE-2026-58044, CVE-2025-61724): fields over the limit are refused, never cut off', () => {
  test('ResponseParser reads 2000 fields and refuses the next, in which a length could hide', () => {
    const fields = 'A: b\r\n'.repeat(1999);
    const length = 'Content-Length: 2\r\n';
    for (const split of [(wire: string) => [wire], (wire: string) => [...wire]]) {
      const read = receive(split(`${OK}${fields}${length}\r\nok`));
      expect(read).toMatchObject({ content: 'ok', outcome: 'complete' });
      expect(read.head?.fieldSection).toBe(fields + length);
      expect(receive(split(`${OK}A: b\r\n${fields}${length}\r\nok`))).toMatchObject({
        head: null,
        outcome: new ProtocolError('The response has more than 2000 fields in one section'),
      });
    }
  });

  test('ResponseParser joins many lines of one name in linear time', () => {
    const limits = { maxFields: 100_000, maxHeadBytes: 2 ** 24 };
    const before = cpuMs();
    for (const line of [
      'Connection: keep-alive\r\n',
      'Keep-Alive: max=1\r\n',
      'Content-Encoding: gzip\r\n',
      'Content-Length: 0\r\n',
    ]) {
      expect(receive([`${OK}${line.repeat(100_000)}\r\n`], { limits }).head).not.toBeNull();
    }
    expect(cpuMs() - before).toBeLessThan(3000);
  });
});

describe('SEC-110 (CVE-2021-3737): interim responses without end are refused after 20', () => {
  test.each([
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
    'HTTP/1.0 199\r\n\r\n',
  ])('ResponseParser refuses the 21st %j', (interim) => {
    const enough = interim.repeat(20);
    expect(receive([`${enough}${OK}Content-Length: 0\r\n\r\n`])).toMatchObject({
      outcome: 'complete',
      head: { status: 200 },
    });
    for (const pieces of [[enough, interim], [...enough, ...interim], Array<string>(21).fill(interim)]) {
      expect(receive(pieces).outcome).toEqual(new ProtocolError('The server sent more than 20 interim responses'));
    }
  });
});

describe('SEC-111 (CVE-2026-97689, GHSA-vxq7-64xx-v4gw, CVE-2023-39326, CVE-2024-22019, CVE-2025-69229): chunk framing is bounded and cheap', () => {
  test.each(['5;', '5;a=', '5;a="', '5;a="\\"', '5;a;b=c;'])(
    'ResponseParser refuses a chunk-size line of %j without end at 4 KiB',
    (begin) => {
      const line = begin.padEnd(4096, 'x');
      for (const pieces of [[CHUNKED + line], [CHUNKED, ...line]]) {
        expect(receive(pieces).outcome).toBe('waiting');
        for (const more of [['x'.repeat(100_000)], ['x']]) {
          expect(receive([...pieces, ...more]).outcome).toEqual(
            new ProtocolError('A chunk-size line is longer than 4096 bytes'),
          );
        }
      }
    },
  );

  test.each(['0', '1', 'f'])('ResponseParser refuses a size of %s without end at its 17th digit', (digit) => {
    for (const digits of [digit.repeat(17), digit.repeat(100_000)]) {
      for (const pieces of [[CHUNKED + digits], [CHUNKED, ...digits]]) {
        expect(receive(pieces).outcome).toMatchObject({ cause: new InvalidChunkLength(digit.repeat(17)) });
      }
    }
  });

  test('ResponseParser refuses small chunks with large extensions after 16 KiB more than their content', () => {
    const chunk = `1;${'x'.repeat(1000)}\r\na\r\n`;
    const { content, outcome } = receive([CHUNKED + chunk.repeat(1000)]);
    expect(outcome).toEqual(new ProtocolError('The chunk extensions of the response are longer than its content'));
    expect(content).toBe('a'.repeat(16));
    const fair = `${(2000).toString(16)};${'x'.repeat(1000)}\r\n${'a'.repeat(2000)}\r\n`;
    expect(receive([`${CHUNKED}${fair.repeat(100)}0\r\n\r\n`]).outcome).toBe('complete');
  });

  test('ResponseParser reads a million chunks of one byte in linear time', () => {
    const chunks = Buffer.from('1\r\na\r\n'.repeat(1_000_000));
    for (const readBytes of [65_536, 7, chunks.length]) {
      const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
      parser.begin('GET');
      receiveNext(parser, [CHUNKED]);
      const before = cpuMs();
      for (let position = 0; position < chunks.length; position += readBytes) {
        const read = chunks.subarray(position, position + readBytes);
        parser.push(read, read.length);
        while (parser.next() === 'content');
      }
      expect(cpuMs() - before).toBeLessThan(3000);
      expect(parser.contentBytes).toBe(1_000_000);
      expect(receiveNext(parser, ['0\r\n\r\n']).outcome).toBe('complete');
    }
  });
});

describe('SEC-115 (CVE-2023-24807, CVE-2021-21240, CVE-2026-42504, CVE-2022-25881): no field value takes more than linear time', () => {
  const limits = { maxHeadBytes: 2 ** 22 };
  const patterns = [
    ' ',
    '\t',
    ',',
    ', ',
    '"',
    ';',
    '=',
    '\\',
    '\xa0',
    'a',
    '0',
    'timeout=',
    'close,',
    'chunked,',
    '5,',
    '" ,',
  ];

  // Twice the head limit: what is quadratic would take many seconds.
  test.each(['Content-Length', 'Transfer-Encoding', 'Connection', 'Keep-Alive', 'Content-Encoding', 'Other'])(
    'ResponseParser takes 128 KiB of anything as %s',
    (name) => {
      for (const pattern of patterns) {
        for (const [begin, end] of [
          ['', ''],
          ['5', '5'],
          ['timeout=5', 'x'],
        ]) {
          const value = begin + pattern.repeat(131_072 / pattern.length) + end;
          const before = cpuMs();
          receive([`${OK}${name}: ${value}\r\n\r\n`], { limits });
          expect(cpuMs() - before).toBeLessThan(300);
        }
      }
    },
  );

  test('ResponseParser scans a head that comes byte by byte once', () => {
    const wire = `${OK}A: ${'b'.repeat(250_000)}\r\n\r\n`;
    const before = cpuMs();
    expect(receive([...wire], { limits }).head?.fieldSection).toHaveLength(250_005);
    expect(cpuMs() - before).toBeLessThan(1000);
  });
});

describe('SEC-116 (CVE-2025-59466, CVE-2022-30631): the peer drives no recursion', () => {
  test('ResponseParser reads lists and chunks by the hundred thousand in one tick, with an AsyncLocalStorage active', () => {
    new AsyncLocalStorage<number>().run(1, () => {
      const limits = { maxHeadBytes: 2 ** 22, maxFields: 200_000, maxInterimResponses: 200_000 };
      const lists = `${OK}Connection: ${'keep-alive,'.repeat(100_000)}\r\n${'Keep-Alive: a\r\n'.repeat(100_000)}`;
      expect(receive([`${lists}Content-Length: 0\r\n\r\n`], { limits }).outcome).toBe('complete');
      expect(receive([`${'HTTP/1.1 100\r\n\r\n'.repeat(100_000)}HTTP/1.1 204\r\n\r\n`], { limits }).outcome).toBe(
        'complete',
      );
      expect(receive([`${CHUNKED}${'1\r\na\r\n'.repeat(100_000)}0\r\n\r\n`]).content).toHaveLength(100_000);
      const nested = '('.repeat(100_000) + ')'.repeat(100_000);
      expect(receive([`${OK}Content-Length: 0\r\nA: ${nested}\r\n\r\n`], { limits }).outcome).toBe('complete');
    });
  });
});

describe('SEC-118 (CVE-2026-42507, CVE-2025-58189, CVE-2023-0833): messages show the peer short, escaped and on one line', () => {
  const nasty = '\x1b[31mforged\x9b\xad\x85"\\';
  const longest = 'x'.repeat(2 ** 20);

  test.each([
    ['a status line', nasty],
    ['a reason', `HTTP/1.1 200 ${nasty}`],
    ['a name', `${OK}\x1b`],
    ['a value', `${OK}A: b\x1b`],
    ['a bare CR and LF', `${OK}A: b\r\r\n2026-01-01 INFO forged`],
    ['a length', `${OK}Content-Length: \x9b\x85\xad"\\${longest}\r\n\r\n`],
    ['a coding', `${OK}Transfer-Encoding: \x9b\x85\xad"\\${longest}\r\n\r\n`],
    ['a chunk size', `${CHUNKED}5\x1b`],
    ['another chunk size', `${CHUNKED}\n`],
    ['a chunk extension', `${CHUNKED}5;\x1b`],
    ['chunk data', `${CHUNKED}5\r\nhello\x1b`],
    ['a line without end', `${OK}A: ${longest}`],
    ['a size without end', `${CHUNKED}${'0'.repeat(2 ** 20)}`],
    ['a chunk line without end', `${CHUNKED}5;${longest}`],
  ])('ResponseParser, of %s', (_, wire) => {
    const limits =
      wire.length > 65_536 && /Content-Length|gzip|Transfer-Encoding: \x9b/.test(wire) ? { maxHeadBytes: 2 ** 22 } : {};
    const { outcome } = receive([wire], { limits });
    expect(outcome).toBeInstanceOf(ProtocolError);
    let error: unknown = outcome;
    for (; error instanceof Error; error = error.cause) {
      expect(error.message).toMatch(/^[\x20-\x7e\xa0-\xac\xae-\xff]{1,300}$/);
      const kept = Object.values(error).filter((value) => typeof value === 'string' && value.length > 300);
      expect(kept).toEqual([]);
    }
    expect(error).toBeUndefined();
  });
});
