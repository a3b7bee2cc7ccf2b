import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidHeader } from '../../src/exceptions.js';
import {
  asksToClose,
  checkFieldLines,
  checkMethod,
  checkTarget,
  defaultHeadTail,
  type FieldLine,
  type RequestFraming,
  renderHead,
  requestFraming,
  USER_AGENT,
} from '../../src/http1/request-head.js';
import { VERSION } from '../../src/version.js';

const NONE: RequestFraming = { kind: 'none' };
const CHUNKED: RequestFraming = { kind: 'chunked' };
const length = (bytes: number): RequestFraming => ({ kind: 'length', length: bytes });

describe('checkMethod()', () => {
  test.each(['GET', 'get', 'M-SEARCH', "!#$%&'*+-.^_`|~09azAZ"])('takes %s', (method) => {
    expect(() => checkMethod(method)).not.toThrow();
  });

  test.each([
    ['', 'Cannot use method "": it must be a token such as "GET" (RFC 9110 section 9.1)'],
    ['GET /', 'Cannot use method "GET /": '],
    ['GET\r\nX: y', 'Cannot use method "GET\\x0d\\x0aX: y": '],
    [undefined, 'Cannot use method undefined: '],
    [['GET'], 'Cannot use method an array: '],
  ])('rejects %j', (method, message) => {
    expect(() => checkMethod(method)).toThrow(TypeError);
    expect(() => checkMethod(method)).toThrow(message);
  });
});

describe('checkTarget()', () => {
  test.each(['/', '*', '/a?b=c&%20;"<>^`{|}[]\\', 'http://a/b', 'a:443'])('takes %s', (target) => {
    expect(() => checkTarget(target)).not.toThrow();
  });

  test.each([
    ['', 'Cannot use request target "": it must be visible ASCII, percent-encoded'],
    ['/a b', 'Cannot use request target "/a b": '],
    ['/\r\n', 'Cannot use request target "/\\x0d\\x0a": '],
    ['/ä', 'Cannot use request target "/ä": '],
    ['/\x7f', 'Cannot use request target "/\\x7f": '],
  ])('rejects %j', (target, message) => {
    expect(() => checkTarget(target)).toThrow(TypeError);
    expect(() => checkTarget(target)).toThrow(message);
  });
});

describe('checkFieldLines()', () => {
  test('gives names and order as they were given, and trims the values', () => {
    const lines: FieldLine[] = [
      ['x-B', ' 1\t'],
      ['X-a', ''],
      ['x-b', '\t '],
      ['!#$', 'a \t b'],
      ['X-Latin', '\xa0\xff'],
    ];
    expect(checkFieldLines(lines)).toEqual([
      ['x-B', '1'],
      ['X-a', ''],
      ['x-b', ''],
      ['!#$', 'a \t b'],
      ['X-Latin', '\xa0\xff'],
    ]);
    expect(lines[0]).toEqual(['x-B', ' 1\t']);
    expect(checkFieldLines([])).toEqual([]);
  });

  test.each(['', 'a b', ' a', 'a:', 'a\r\nb', 'ä'])('rejects the name %j', (name) => {
    expect(() =>
      checkFieldLines([
        ['A', 'b'],
        [name, 'secret'],
      ]),
    ).toThrow(InvalidHeader);
    expect(() => checkFieldLines([[name, 'secret']])).toThrow(/^Cannot use header name ".*": it must be a token$/);
  });

  test.each(['a\nb', 'a\rb', 'a\0b', '\x7f', '\r\n folded', 'a\r\n', 'Ā'])(
    'rejects the value %j and does not show it',
    (value) => {
      const message =
        'Cannot use the value of header "X-A": it may hold visible characters up to U+00FF, blanks and tabs, and no CR, LF or NUL';
      expect(() =>
        checkFieldLines([
          ['A', 'b'],
          ['X-A', `secret${value}`],
        ]),
      ).toThrow(InvalidHeader);
      expect(() => checkFieldLines([['X-A', `secret${value}`]])).toThrow(new InvalidHeader(message));
    },
  );

  test('rejects a Host with a blank in it: it holds one host and one port (SEC-020, CVE-2023-29406)', () => {
    for (const value of ['a.test b.test', 'a.test\t80']) {
      expect(() => checkFieldLines([['Host', value]])).toThrow('hold no blank');
    }
    expect(checkFieldLines([['Host', ' a.test:80 ']])).toEqual([['Host', 'a.test:80']]);
  });

  test('rejects a second Host in any case, and takes one', () => {
    expect(checkFieldLines([['hOST', 'a']])).toEqual([['hOST', 'a']]);
    expect(() =>
      checkFieldLines([
        ['Host', 'a'],
        ['A', 'b'],
        ['HOST', 'a'],
      ]),
    ).toThrow(new InvalidHeader('Cannot use two Host headers: a request has exactly one (RFC 9112 section 3.2)'));
  });
});

test.each<[value: string, asks: boolean]>([
  ['close', true],
  ['CLOSE', true],
  ['keep-alive,\tClose , te', true],
  ['', false],
  ['keep-alive', false],
  ['closed, not-close, "close"', false],
  ['clo\u017fe', false],
])('asksToClose(): Connection: %j: %j', (value, asks) => {
  expect(
    asksToClose([
      ['A', 'close'],
      ['cONNECTION', value],
    ]),
  ).toBe(asks);
  expect(
    asksToClose([
      ['Connection', 'te'],
      ['Connection', value],
      ['connection', 'x'],
    ]),
  ).toBe(asks);
  expect(asksToClose([['Proxy-Connection', value]])).toBe(false);
});

describe('requestFraming()', () => {
  const GIVEN_5: FieldLine[] = [['Content-Length', '5']];
  const GIVEN_CHUNKED: FieldLine[] = [['transfer-encoding', 'Chunked']];

  test.each<{
    name: string;
    method?: string;
    lines?: FieldLine[];
    content: number | null | undefined;
    chunked?: boolean;
    want: RequestFraming;
  }>([
    { name: 'no content of a GET', content: undefined, want: NONE },
    { name: 'no content of a HEAD', method: 'HEAD', content: undefined, want: NONE },
    { name: 'no content of a DELETE', method: 'DELETE', content: undefined, want: NONE },
    { name: 'no content of a POST', method: 'POST', content: undefined, want: length(0) },
    { name: 'no content of a PUT', method: 'PUT', content: undefined, want: length(0) },
    { name: 'no content of a PATCH', method: 'PATCH', content: undefined, want: length(0) },
    { name: 'no content, chunked wanted', content: undefined, chunked: true, want: NONE },
    {
      name: 'no content of a POST, chunked wanted',
      method: 'POST',
      content: undefined,
      chunked: true,
      want: length(0),
    },
    { name: 'no content, and 0 is given', lines: [['content-length', '0']], content: undefined, want: length(0) },
    { name: 'content of a known length', content: 5, want: length(5) },
    { name: 'content of a known length of a HEAD', method: 'HEAD', content: 5, want: length(5) },
    { name: 'empty content', content: 0, want: length(0) },
    { name: 'content of a known length that is given too', lines: GIVEN_5, content: 5, want: length(5) },
    { name: 'a length given with zeros', lines: [['CONTENT-LENGTH', '0005']], content: 5, want: length(5) },
    { name: 'content of unknown length', content: null, want: CHUNKED },
    { name: 'content of unknown length, its length given', lines: GIVEN_5, content: null, want: length(5) },
    { name: 'chunked given, length unknown', lines: GIVEN_CHUNKED, content: null, want: CHUNKED },
    { name: 'chunked given, length known', lines: GIVEN_CHUNKED, content: 5, want: CHUNKED },
    { name: 'chunked wanted', content: 5, chunked: true, want: CHUNKED },
    { name: 'chunked wanted for empty content', content: 0, chunked: true, want: CHUNKED },
    { name: 'chunked wanted and given', lines: GIVEN_CHUNKED, content: null, chunked: true, want: CHUNKED },
  ])('$name', ({ method = 'GET', lines = [], content, chunked = false, want }) => {
    const others: FieldLine[] = [
      ['A', 'b'],
      ['Content-Lengthy', '7'],
    ];
    expect(requestFraming(method, [...others, ...lines], content, chunked)).toEqual(want);
  });

  test.each<{ name: string; lines: FieldLine[]; content?: number | null | undefined; chunked?: boolean; why: string }>([
    {
      name: 'a length without content',
      lines: GIVEN_5,
      content: undefined,
      why: 'Content-Length is 5 and there is no body',
    },
    {
      name: 'chunked without content',
      lines: GIVEN_CHUNKED,
      content: undefined,
      why: 'Transfer-Encoding was given and there is no body',
    },
    {
      name: 'a length that is not the content',
      lines: GIVEN_5,
      content: 6,
      why: 'Content-Length is 5 and the body has 6 bytes',
    },
    {
      name: 'a length and chunked wanted',
      lines: GIVEN_5,
      content: 5,
      chunked: true,
      why: 'Content-Length and chunked coding exclude each other',
    },
    {
      name: 'a length and chunked',
      lines: [...GIVEN_5, ...GIVEN_CHUNKED],
      why: 'Transfer-Encoding was given next to Content-Length or another Transfer-Encoding',
    },
    {
      name: 'chunked and a length',
      lines: [...GIVEN_CHUNKED, ...GIVEN_5],
      why: 'Content-Length was given next to another Content-Length or Transfer-Encoding',
    },
    {
      name: 'two lengths in two cases',
      lines: [...GIVEN_5, ['content-length', '5']],
      why: 'Content-Length was given next to another Content-Length or Transfer-Encoding',
    },
    {
      name: 'chunked twice',
      lines: [...GIVEN_CHUNKED, ...GIVEN_CHUNKED],
      why: 'Transfer-Encoding was given next to Content-Length or another Transfer-Encoding',
    },
    {
      name: 'another coding',
      lines: [['Transfer-Encoding', 'gzip, chunked']],
      why: 'Transfer-Encoding "gzip, chunked" is not "chunked"',
    },
    {
      name: 'a Kelvin sign in the coding',
      lines: [['Transfer-Encoding', 'chun\u212aed']],
      why: 'Transfer-Encoding "chun\u212aed" is not "chunked"',
    },
    ...['', '+5', '-5', '0x5', '5e0', '5.0', '5 5', '5, 5', '٥', '9007199254740993', '9'.repeat(400)].map(
      (value): { name: string; lines: FieldLine[]; why: string } => ({
        name: `the length ${value.slice(0, 20)}`,
        lines: [['Content-Length', value]],
        why: `Content-Length "${value.slice(0, 120)}`,
      }),
    ),
  ])('rejects $name', ({ lines, why, ...rest }) => {
    const content = 'content' in rest ? rest.content : 5;
    const framing = () => requestFraming('POST', lines, content, 'chunked' in rest && rest.chunked === true);
    expect(framing).toThrow(InvalidHeader);
    expect(framing).toThrow(`Cannot frame the request: ${why}`);
  });
});

describe('renderHead()', () => {
  test('writes a request line, what we add, and the given lines as they are', () => {
    const lines: FieldLine[] = [
      ['x-second', '2'],
      ['X-First', '1'],
      ['x-SECOND', ''],
    ];
    expect(renderHead('POST', '/a?b', 'h:1', lines, length(5), 'text/plain')).toBe(
      `POST /a?b HTTP/1.1\r\nHost: h:1\r\nAccept-Encoding: identity\r\nUser-Agent: ${USER_AGENT}\r\n` +
        'Content-Length: 5\r\nContent-Type: text/plain\r\nx-second: 2\r\nX-First: 1\r\nx-SECOND: \r\n\r\n',
    );
  });

  test('adds nothing that was given, in whatever case', () => {
    const lines: FieldLine[] = [
      ['USER-agent', 'me'],
      ['hOST', 'given'],
      ['accept-ENCODING', 'gzip'],
      ['content-TYPE', 'a/b'],
    ];
    expect(renderHead('GET', '/', 'h', lines, NONE, 'text/plain')).toBe(
      'GET / HTTP/1.1\r\nUSER-agent: me\r\nhOST: given\r\naccept-ENCODING: gzip\r\ncontent-TYPE: a/b\r\n\r\n',
    );
  });

  test('is not misled by names that are as long as those it looks for', () => {
    const lines: FieldLine[] = [
      'Hosu',
      'User-Agenu',
      'Content-Typf',
      'Content-Lengti',
      'Accept-Encodinh',
      'Transfer-Encodinh',
    ].map((name) => [name, 'x']);
    const given = lines.map(([name]) => `${name}: x\r\n`).join('');
    expect(renderHead('GET', '/', 'h', lines, NONE, 'a/b')).toBe(
      `GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\nUser-Agent: ${USER_AGENT}\r\nContent-Type: a/b\r\n${given}\r\n`,
    );
  });

  test.each<[RequestFraming, string]>([
    [NONE, ''],
    [length(0), 'Content-Length: 0\r\n'],
    [length(2 ** 53 - 1), 'Content-Length: 9007199254740991\r\n'],
    [CHUNKED, 'Transfer-Encoding: chunked\r\n'],
  ])('writes the framing %j once, in place of what was given', (framing, want) => {
    const lines: FieldLine[] = [
      ['content-length', '0005'],
      ['A', 'b'],
      ['TRANSFER-ENCODING', 'Chunked'],
    ];
    const head = renderHead('GET', '/', 'h', lines, framing, null);
    expect(head).toBe(
      `GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\nUser-Agent: ${USER_AGENT}\r\n${want}A: b\r\n\r\n`,
    );
  });

  test('says the library and its version', () => {
    expect(USER_AGENT).toBe(`urllib3-node/${VERSION}`);
  });

  test('reads back as it was written, for any request', () => {
    fc.assert(
      fc.property(methods, targets, fields, framings, fc.boolean(), (method, target, given, framing, typed) => {
        const lines = checkFieldLines(given);
        checkMethod(method);
        checkTarget(target);
        const head = renderHead(method, target, 'host.test', lines, framing, typed ? 'a/b' : null);
        const read = readHead(head);
        expect(read.requestLine).toEqual([method, target, 'HTTP/1.1']);
        const isOurs = (name: string) => /^(content-length|transfer-encoding)$/i.test(name);
        const sent = lines.filter(([name]) => !isOurs(name));
        expect(read.fields.slice(read.fields.length - sent.length)).toEqual(sent);
        const names = read.fields.map(([name]) => name.toLowerCase());
        expect(names.filter((name) => name === 'host')).toHaveLength(1);
        expect(read.fields.filter(([name]) => isOurs(name))).toEqual(
          framing.kind === 'none'
            ? []
            : framing.kind === 'length'
              ? [['Content-Length', `${framing.length}`]]
              : [['Transfer-Encoding', 'chunked']],
        );
        expect(names).toEqual(expect.arrayContaining(['user-agent', 'accept-encoding']));
        expect(names.includes('content-type')).toBe(
          typed || sent.some(([name]) => name.toLowerCase() === 'content-type'),
        );
      }),
      { numRuns: 500 },
    );
  });
});

test('defaultHeadTail() is what renderHead() writes after method and target where nothing was given', () => {
  expect(`GET /a${defaultHeadTail('h:8080')}`).toBe(renderHead('GET', '/a', 'h:8080', [], NONE, null));
});

const methods = fc.string({ unit: fc.constantFrom(...'GETpost-!~'), minLength: 1, maxLength: 6 });
const targets = fc.string({ unit: fc.constantFrom(...'/a?b=%20&#"~*'), minLength: 1, maxLength: 12 });
const framings = fc.oneof(fc.constantFrom(NONE, CHUNKED), fc.nat().map(length));
const names = fc.oneof(
  fc.constantFrom('Accept-Encoding', 'user-agent', 'Content-Type', 'content-length', 'TRANSFER-ENCODING', 'X-A', 'x-a'),
  fc.string({ unit: fc.constantFrom(...'aZ-_!~09'), minLength: 1, maxLength: 17 }),
);
const values = fc.string({ unit: fc.constantFrom('a', 'Z', ' ', '\t', ':', ',', '\x80', '\xa0', '\xff', '"') });
const fields: fc.Arbitrary<FieldLine[]> = fc
  .tuple(fc.array(fc.tuple(names, values), { maxLength: 5 }), fc.constantFrom('', 'Host', 'hoST'))
  .map(([lines, host]) => (host === '' ? lines : [...lines, [host, 'given']]));

/** Reads a head as a server does that knows nothing of us. */
function readHead(head: string): { requestLine: string[]; fields: FieldLine[] } {
  const bytes = Buffer.from(head, 'latin1');
  expect(bytes.toString('latin1')).toBe(head);
  expect(head.indexOf('\r\n\r\n')).toBe(head.length - 4);
  const [requestLine = '', ...lines] = head.slice(0, -4).split('\r\n');
  const fieldLines = lines.map((line): FieldLine => {
    const [, name = '', value = ''] = /^([^:]*):(.*)$/.exec(line) ?? [];
    return [name, value.replace(/^[ \t]+|[ \t]+$/g, '')];
  });
  return { requestLine: requestLine.split(' '), fields: fieldLines };
}
