import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IncompleteRead, ProtocolError } from '../../src/exceptions.js';
import { DEFAULT_RESPONSE_LIMITS } from '../../src/http1/limits.js';
import { ResponseParser } from '../../src/http1/response-parser.js';
import { receive, receiveNext, shapesOf } from './receive.js';
import { responses, type SampleField } from './samples.js';

interface Reading {
  readonly name: string;
  readonly wire: string;
  readonly method?: string;
  /** Without it the response is left open. */
  readonly closes?: boolean;
  readonly want: object;
}

const READINGS: readonly Reading[] = [
  {
    name: 'content of a known length',
    wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    want: {
      head: {
        status: 200,
        reason: 'OK',
        fieldSection: 'Content-Length: 5\r\n',
        framing: { kind: 'length', length: 5 },
      },
      content: 'hello',
      outcome: 'complete',
    },
  },
  {
    name: 'chunked content with extensions and trailers',
    wire: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n00006;b="c;\\""\r\n world\r\n0\r\nA: 1\r\nB: 2\r\n\r\n',
    want: {
      head: { framing: { kind: 'chunked' } },
      content: 'hello world',
      trailerSection: 'A: 1\r\nB: 2\r\n',
      outcome: 'complete',
    },
  },
  {
    name: 'chunked content of nothing',
    wire: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n000\r\n\r\n',
    want: { head: { framing: { kind: 'chunked' } }, content: '', trailerSection: '', outcome: 'complete' },
  },
  {
    name: 'an interim head that says close, which the final one does not take back',
    wire: 'HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    want: { head: { status: 200, persistent: false }, content: 'ok', outcome: 'complete' },
  },
  {
    name: 'content until close',
    wire: 'HTTP/1.0 200 OK\r\n\r\nhello\r\n',
    closes: true,
    want: { head: { version: 10, framing: { kind: 'close-delimited' } }, content: 'hello\r\n', outcome: 'complete' },
  },
  {
    name: 'content until a close that does not come',
    wire: 'HTTP/1.1 200 OK\r\n\r\nhello',
    want: { head: { framing: { kind: 'close-delimited' } }, content: 'hello', outcome: 'waiting' },
  },
  {
    name: 'no content where the length is 0',
    wire: 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n',
    want: { head: { status: 404, framing: { kind: 'none' } }, content: '', outcome: 'complete' },
  },
  {
    name: 'no content for HEAD, whatever is announced',
    wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    method: 'HEAD',
    want: { head: { framing: { kind: 'none' } }, content: '', outcome: 'complete' },
  },
  {
    name: 'no content of a 204 and a 304, even chunked',
    wire: 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n',
    want: { head: { status: 304, framing: { kind: 'none' } }, content: '', outcome: 'complete' },
  },
  {
    name: 'interim heads before the final one',
    wire: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    want: {
      interims: [
        { status: 100, fieldSection: '' },
        { status: 103, fieldSection: 'Link: a\r\n' },
      ],
      head: { status: 200, fieldSection: 'Content-Length: 2\r\n' },
      content: 'ok',
      outcome: 'complete',
    },
  },
  {
    name: 'a head that is not whole',
    wire: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n',
    want: { head: null, outcome: 'waiting' },
  },
  { name: 'nothing', wire: '', want: { head: null, outcome: 'waiting' } },
];

describe('ResponseParser reads', () => {
  test.each(READINGS)('$name', ({ wire, method = 'GET', closes = false, want }) => {
    for (const pieces of shapesOf(wire)) {
      expect(receive(pieces, { method, closes })).toMatchObject({ ...want, leftover: '' });
    }
  });

  test.each(READINGS.filter(({ want }) => 'outcome' in want && want.outcome === 'complete'))(
    '$name, and leaves what follows',
    ({ wire, method = 'GET', closes = false, want }) => {
      if (closes) return;
      const leftover = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
      for (const pieces of shapesOf(wire)) {
        expect(receive([...pieces, leftover], { method })).toMatchObject({ ...want, leftover });
      }
      expect(receive([wire + leftover], { method })).toMatchObject({ ...want, leftover });
      expect(receive([...(wire + leftover)], { method })).toMatchObject({ ...want, leftover });
    },
  );
});

describe('ResponseParser rejects', () => {
  test.each([
    ['a reply that is no HTTP', 'ICY 200 OK\r\n\r\n', /begin with "HTTP\/1\."/],
    ['protocols that are switched unasked', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', /status 101/],
    ['a 101 after an interim response', 'HTTP/1.1 100\r\n\r\nHTTP/1.1 101\r\n\r\n', /status 101/],
    [
      'two framings',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      /^Ambiguous framing/,
    ],
    ['a chunk that has no size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n', /which is no size/],
    ['a faulty trailer', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA b: c\r\n\r\n', /field name/],
  ])('%s', (_, wire, message) => {
    for (const pieces of shapesOf(wire)) {
      const { outcome } = receive(pieces);
      expect(outcome).toBeInstanceOf(ProtocolError);
      expect(outcome).toMatchObject({ message: expect.stringMatching(message) });
    }
  });

  test('more interim responses than its limit, and takes as many', () => {
    const wire = `${'HTTP/1.1 103\r\nA: b\r\n\r\n'.repeat(3)}HTTP/1.1 204\r\n\r\n`;
    for (const pieces of shapesOf(wire)) {
      expect(receive(pieces, { limits: { maxInterimResponses: 3 } }).outcome).toBe('complete');
      expect(receive(pieces, { limits: { maxInterimResponses: 2 } })).toMatchObject({
        interims: [{ status: 103 }, { status: 103 }],
        head: null,
        outcome: new ProtocolError('The server sent more than 2 interim responses'),
      });
    }
  });
});

describe('ResponseParser.finish() tells a close', () => {
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

  test.each([
    ['in a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel', 3, 2],
    ['before any content', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 0, 5],
    ['in a chunk', `${chunked}5\r\nhel`, 3, null],
    ['between CR and LF after a chunk', `${chunked}5\r\nhello\r`, 5, null],
    ['between chunks', `${chunked}5\r\nhello\r\n`, 5, null],
    ['in the last chunk', `${chunked}5\r\nhello\r\n0\r\n`, 5, null],
    ['in a trailer', `${chunked}5\r\nhello\r\n0\r\nA: b\r\n`, 5, null],
  ])('%s', (_, wire, partial, expected) => {
    for (const pieces of shapesOf(wire)) {
      const { outcome } = receive(pieces, { closes: true });
      expect(outcome).toBeInstanceOf(ProtocolError);
      expect(outcome).toMatchObject({ message: expect.stringMatching(/^Connection broken: IncompleteRead/) });
      expect(outcome).toMatchObject({ cause: { partial, expected } });
      expect(outcome).toHaveProperty('cause', expect.any(IncompleteRead));
    }
  });

  test.each([
    ['without a byte', '', 'without response'],
    ['in the status line', 'HTT', 'in the middle of the response head'],
    ['in the fields', 'HTTP/1.1 200 OK\r\nA: b\r\n', 'in the middle of the response head'],
    ['after an interim response', 'HTTP/1.1 100\r\n\r\n', 'in the middle of the response head'],
  ])('%s', (_, wire, where) => {
    for (const pieces of shapesOf(wire)) {
      expect(receive(pieces, { closes: true }).outcome).toEqual(
        new ProtocolError(`Remote end closed connection ${where}`),
      );
    }
  });

  test('that ends a response, once, and says nothing of one that is complete', () => {
    const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
    expect(parser.finish()).toBe(false);
    parser.begin('GET');
    receiveNext(parser, ['HTTP/1.1 200 OK\r\n\r\nhello']);
    expect(parser.finish()).toBe(true);
    expect(parser.finish()).toBe(false);
    parser.begin('GET');
    push(parser, 'HTTP/1.1 204 No Content\r\n\r\n');
    expect(parser.next()).toBe('head');
    expect(parser.finish()).toBe(false);
    expect(parser.next()).toBe('end');
    expect(parser.finish()).toBe(false);
  });
});

describe('ResponseParser', () => {
  test('reads the responses of one connection one after the other, and keeps nothing of the former', () => {
    const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
    parser.begin('GET');
    const first = receiveNext(parser, [
      'HTTP/1.1 100\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nok\r\n0\r\nT: 1\r\n\r\n',
    ]);
    expect(first).toMatchObject({ content: 'ok', trailerSection: 'T: 1\r\n', outcome: 'complete' });
    parser.begin('GET');
    expect(parser).toMatchObject({ head: null, trailerSection: '', contentBytes: 0, hasBegun: false });
    const second = receiveNext(parser, ['HTTP/1.0 404 No\r\nContent-Length: 3\r\n\r\n', 'abc']);
    expect(second).toMatchObject({
      head: { version: 10, status: 404, reason: 'No', fieldSection: 'Content-Length: 3\r\n' },
      interims: [],
      content: 'abc',
      trailerSection: '',
      outcome: 'complete',
    });
    expect(parser.contentBytes).toBe(3);
  });

  test('forgets the last response when it is told to, and reads the next as ever', () => {
    const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
    const wire = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n';
    parser.begin('GET');
    const first = receiveNext(parser, [wire]);
    parser.forget();
    expect(parser).toMatchObject({ head: null, trailerSection: '' });
    expect(receiveNext(parser, [wire])).toMatchObject({ head: null, outcome: 'waiting', leftover: wire });
    parser.begin('GET');
    parser.push(Buffer.alloc(0), 0);
    expect(receiveNext(parser, [...wire])).toEqual(first);
  });

  test('counts interim responses for each response anew', () => {
    const parser = new ResponseParser({ ...DEFAULT_RESPONSE_LIMITS, maxInterimResponses: 1 });
    for (let exchange = 0; exchange < 3; exchange++) {
      parser.begin('GET');
      expect(receiveNext(parser, ['HTTP/1.1 100\r\n\r\nHTTP/1.1 204\r\n\r\n']).outcome).toBe('complete');
    }
  });

  test('points into the bytes it was lent and copies none', () => {
    const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
    parser.begin('GET');
    push(parser, `${head}hel`);
    expect(parser.next()).toBe('head');
    expect(parser.next()).toBe('content');
    expect([parser.contentStart, parser.contentEnd]).toEqual([head.length, head.length + 3]);
    expect(parser.next()).toBe('need-bytes');
    push(parser, 'lo');
    expect(parser.next()).toBe('content');
    expect([parser.contentStart, parser.contentEnd]).toEqual([0, 2]);
    expect(parser.next()).toBe('end');
  });

  test('knows how much content came and how much is to come', () => {
    const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
    parser.begin('GET');
    receiveNext(parser, ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel']);
    expect([parser.contentBytes, parser.expectedBytes]).toEqual([3, 2]);
    receiveNext(parser, ['lo']);
    expect([parser.contentBytes, parser.expectedBytes]).toEqual([5, null]);
    parser.begin('GET');
    receiveNext(parser, ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel']);
    expect([parser.contentBytes, parser.expectedBytes]).toEqual([3, null]);
  });

  test.each([
    ['a first byte that is right', 'H'],
    ['a first byte that is wrong', 'X'],
    ['a whole head that is refused', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['an interim head', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ])('hasBegun after %s, and not before', (_, wire) => {
    const parser = new ResponseParser(DEFAULT_RESPONSE_LIMITS);
    parser.begin('GET');
    expect(parser.hasBegun).toBe(false);
    receiveNext(parser, ['']);
    expect(parser.hasBegun).toBe(false);
    receiveNext(parser, [wire]);
    expect(parser.hasBegun).toBe(true);
    receiveNext(parser, ['']);
    expect(parser.hasBegun).toBe(true);
  });
});

describe('ResponseParser, for any response,', () => {
  test('reads what was written', () => {
    fc.assert(
      fc.property(responses, (sample) => {
        const closes = sample.framing === 'close-delimited';
        const { head, interims, content, trailerSection, outcome, leftover } = receive([sample.wire], {
          method: sample.method,
          closes,
        });
        expect(outcome).toBe('complete');
        expect(leftover).toBe('');
        expect(interims.map(({ status }) => status)).toEqual(sample.interimStatuses);
        expect(head).toMatchObject({
          version: sample.version,
          status: sample.status,
          reason: sample.reason,
          framing: { kind: sample.framing },
          persistent: sample.persistent,
        });
        expect(fieldsOf(head?.fieldSection ?? '')).toEqual(sample.fields);
        expect(content).toBe(sample.content);
        expect(fieldsOf(trailerSection)).toEqual(sample.trailers);
      }),
      { numRuns: 500 },
    );
  });

  test('says the same whole, byte by byte, and cut in two at every offset', () => {
    fc.assert(
      fc.property(responses, fc.constantFrom('', 'HTTP/1.1 200 OK\r\n\r\n'), (sample, following) => {
        const options = { method: sample.method, closes: sample.framing === 'close-delimited' };
        const wire = sample.wire + following;
        const whole = receive([wire], options);
        for (const pieces of shapesOf(wire)) expect(receive(pieces, options)).toEqual(whole);
      }),
      { numRuns: 60 },
    );
  });

  test('waits at every cut before the end, and a close there is an error', () => {
    fc.assert(
      fc.property(responses, (sample) => {
        fc.pre(sample.framing !== 'close-delimited');
        for (let length = 0; length < sample.wire.length; length++) {
          const cut = [sample.wire.slice(0, length)];
          expect(receive(cut, { method: sample.method }).outcome).toBe('waiting');
          expect(receive(cut, { method: sample.method, closes: true }).outcome).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 60 },
    );
  });
});

function push(parser: ResponseParser, text: string): void {
  parser.push(Buffer.from(text, 'latin1'), text.length);
}

function fieldsOf(section: string): SampleField[] {
  return section
    .split('\r\n')
    .slice(0, -1)
    .map((line) => {
      const [name = '', ...rest] = line.split(':');
      return { name, value: rest.join(':').replace(/^[ \t]+|[ \t]+$/g, '') };
    });
}
