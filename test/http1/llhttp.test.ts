/**
 * Our parser against llhttp (strict), the parser that most of Node's world reads responses with.
 *
 * What llhttp refuses we refuse, and what both accept we read alike. Where that is not so, a row of one of two tables says
 * so and why; each row is shown by its own example, and excuses nothing else.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ResponseHead } from '../../src/http1/response-head.js';
import { type OracleHead, readWithLlhttp } from './llhttp.js';
import { type Received, receive } from './receive.js';
import { responses } from './samples.js';

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const TAB_AFTER_CHUNKED = /^transfer-encoding:[ \t]*chunked[ \t]*\t[ \t]*\r$/im;

interface Exception {
  readonly name: string;
  readonly reason: string;
  /** Responses that both are given, with the content "ok" if we accept them. */
  readonly wires: readonly string[];
  readonly method?: string;
}

/** What we accept and llhttp refuses, or reads in another way. */
const LAXER: readonly (Exception & {
  readonly covers: (ours: Received) => boolean;
  readonly refusal: RegExp | null;
})[] = [
  {
    name: 'equal lengths, in lines or as a list',
    reason: 'a ruling: RFC 9110 section 8.6 lets a recipient take them for one, and some proxies double them',
    wires: [`${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`, `${OK}Content-Length: 2, 2\r\n\r\nok`],
    covers: (ours) =>
      headsOf(ours).some((head) => (head.match(/^content-length:|(?<=^content-length:.*),/gim) ?? []).length > 1),
    refusal: /Content-Length/,
  },
  {
    name: 'a tab behind the digits of Content-Length',
    reason: 'RFC 9110 section 5.6.3: blanks around a value are SP or HTAB; llhttp takes a tab before the digits only',
    wires: [`${OK}Content-Length: 2\t\r\n\r\nok`],
    covers: (ours) => headsOf(ours).some((head) => /^content-length:[^\r]*\t[ \t]*\r/im.test(head)),
    refusal: /Invalid character in Content-Length/,
  },
  {
    name: 'a tab behind "chunked"',
    reason: 'RFC 9110 section 5.6.3 again; llhttp does not know the coding then and gives out its framing as content',
    wires: [`${CHUNKED.replace('chunked', 'chunked\t')}2\r\nok\r\n0\r\n\r\n`],
    covers: (ours) => headsOf(ours).some((head) => TAB_AFTER_CHUNKED.test(head)),
    refusal: null,
  },
  {
    name: 'Content-Length as a trailer',
    reason: 'SEC-041: trailers are kept apart and frame nothing',
    wires: [
      `${CHUNKED}2\r\nok\r\n0\r\nContent-Length: 5\r\n\r\n`,
      `${CHUNKED}2\r\nok\r\n0\r\nContent-Length: x\r\n\r\n`,
    ],
    covers: (ours) => /^content-length:/im.test(ours.trailerSection),
    refusal: /Content-Length/,
  },
  {
    name: 'an interim response that says the connection will end',
    reason:
      'RFC 9110 section 15.2: interim responses are skipped, and the final one says what becomes of the connection',
    wires: [
      `HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
      `HTTP/1.1 100 Continue\r\nProxy-Connection: close\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
      `HTTP/1.0 100 Continue\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
    ],
    covers: ({ interims }) =>
      interims.some(({ persistent, fieldSection }) => !persistent || /^proxy-connection:/im.test(fieldSection)),
    refusal: /^Parse Error: Data after `Connection: close`/,
  },
];

/** What we refuse and llhttp accepts. */
const STRICTER: readonly (Exception & { readonly message: RegExp; readonly where?: RegExp })[] = [
  {
    name: 'empty lines before the status line, and other protocols in it',
    reason: 'SEC-037: a response begins with HTTP/1.; bytes before it belong to nobody',
    wires: [
      `\r\n${OK}\r\nok`,
      `\n${OK}\r\nok`,
      'ICE/1.0 200 OK\r\n\r\nok',
      'RTSP/1.0 200 OK\r\n\r\nok',
      'HTTP/2.0 200 OK\r\n\r\nok',
    ],
    message: /^Malformed response: a status line that does not begin with "HTTP\/1\." /,
  },
  {
    name: 'statuses under 100',
    reason: 'SEC-037: RFC 9110 section 15 has no such class',
    wires: ['HTTP/1.1 099 OK\r\n\r\nok', 'HTTP/1.1 000 OK\r\n\r\nok'],
    message: /^Malformed response: a status that is not three digits from 100 /,
  },
  {
    name: 'control characters in the reason',
    reason: 'SEC-036: RFC 9112 section 4 allows none but HTAB',
    wires: ['HTTP/1.1 200 O\0K\r\n\r\nok', 'HTTP/1.1 200 O\x1bK\r\n\r\nok', 'HTTP/1.1 200 O\x7fK\r\n\r\nok'],
    message: /^Malformed response: a control character in the reason phrase /,
  },
  {
    name: 'CR in place of the LF behind the status line',
    reason: 'SEC-035: a CR that is not followed by LF ends nothing',
    wires: ['HTTP/1.1 200 OK\r\r\r\nok', 'HTTP/1.1 200 \r\rA: b\r\n\r\nok', 'HTTP/1.1 200\r\rA: b\r\n\r\nok'],
    message: /^Malformed response: a CR without LF \("\\x0d"\)$/,
    where: /^HTTP\/1\.[01] [0-9]{3}[^\r\n]*\r\r/m,
  },
  {
    name: 'transfer codings other than a single "chunked"',
    reason:
      'SEC-032: llhttp takes "gzip, chunked" and leaves the gzip on, and gives out the framing of "chunked, identity"',
    wires: ['', 'identity', 'gzip', 'gzip, chunked', 'chunked, identity', 'chunked;q=1', 'xchunked', ',chunked'].map(
      (value) => `${OK}Transfer-Encoding: ${value}\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
    ),
    message:
      /^Ambiguous framing of the response: Transfer-Encoding is ".*", and only a single "chunked" is understood$/,
  },
  {
    name: 'an empty Transfer-Encoding next to Content-Length',
    reason: 'SEC-028: the field is there, so that other readers may go by it',
    wires: [`${OK}Transfer-Encoding:\r\nContent-Length: 2\r\n\r\nok`],
    message: /^Ambiguous framing of the response: both Transfer-Encoding and Content-Length are there$/,
    where: /^transfer-encoding:[ \t]*\r$/im,
  },
  {
    name: 'Transfer-Encoding in HTTP/1.0',
    reason: 'RFC 9112 section 6.1: its framing is faulty, and a proxy of that version does not know it',
    wires: ['HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
    message: /^Ambiguous framing of the response: Transfer-Encoding in an HTTP\/1\.0 response$/,
  },
  {
    name: 'a 101 that nobody asked for',
    reason: 'SEC-045',
    wires: ['HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    message: /^The server switches protocols, and was not asked to \(status 101\)$/,
  },
  {
    name: 'chunk extensions without name or value',
    reason: 'SEC-040: RFC 9112 section 7.1.1 wants a token before and behind "="',
    wires: [
      `${CHUNKED}2;=b\r\nok\r\n0\r\n\r\n`,
      `${CHUNKED}2;a=\r\nok\r\n0\r\n\r\n`,
      `${CHUNKED}2;a=;b\r\nok\r\n0\r\n\r\n`,
    ],
    message: /^Malformed response: a character in a chunk extension that is not allowed there /,
  },
  {
    name: 'chunk sizes of more than 16 digits, be they zeros',
    reason: 'SEC-038',
    wires: [`${CHUNKED}00000000000000002\r\nok\r\n0\r\n\r\n`],
    message: /^Malformed response: a chunk begins with "[0-9A-Fa-f]{17}", which is no size$/,
  },
  {
    name: 'lengths over 2^53-1 that announce no content',
    reason: 'SEC-031: llhttp counts to 2^64, a JavaScript number does not',
    wires: [`${OK}Content-Length: 9007199254740993\r\n\r\n`],
    method: 'HEAD',
    message: /^Ambiguous framing of the response: Content-Length "[0-9]+" is too large$/,
  },
];

describe('ResponseParser, unlike llhttp, accepts', () => {
  test.each(LAXER)('$name ($reason)', async ({ wires, covers, refusal }) => {
    for (const wire of wires) {
      const ours = receive([wire], { closes: true });
      expect(ours).toMatchObject({ outcome: 'complete', content: 'ok', leftover: '' });
      expect(covers(ours)).toBe(true);
      const theirs = await readWithLlhttp(wire, 'GET');
      if (refusal === null) expect(theirs).toMatchObject({ refusal, content: '2\r\nok\r\n0\r\n\r\n' });
      else expect(theirs.refusal).toMatch(refusal);
    }
  });
});

describe('ResponseParser, unlike llhttp, refuses', () => {
  test.each(STRICTER)('$name ($reason)', async ({ wires, method = 'GET', message }) => {
    for (const wire of wires) {
      const { outcome } = receive([wire], { method, closes: true });
      expect(outcome).toMatchObject({ message: expect.stringMatching(message) });
      expect(await readWithLlhttp(wire, method)).toMatchObject({ refusal: null });
    }
  });
});

describe('ResponseParser and llhttp', () => {
  test('refuse the same where rulings follow it', async () => {
    const wires = [
      'HTTP/1.1 200 OK\n\nok',
      `${OK}A: b\n\r\nok`,
      `${OK}A: b\r\n c\r\n\r\nok`,
      `${OK} A: b\r\n\r\nok`,
      `${OK}A : b\r\n\r\nok`,
      `${OK}: b\r\n\r\nok`,
      `${OK}A\r\n\r\nok`,
      `${OK}A: b\rc\r\n\r\nok`,
      `${OK}A: b\r\n\rX`,
      `${OK}A: b\0\r\n\r\nok`,
      `${OK}A\0: b\r\n\r\nok`,
      `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      `${OK}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok`,
      ...['', '+2', '-2', '0x2', '2 2', '2,', '2;', '2e0'].map((value) => `${OK}Content-Length: ${value}\r\n\r\nok`),
      ...['2 ', '2\t', ' 2', '+2', '-2', '0x2', '2_0', '', ';a', '2\n', '2 ;a', '2; a', '2;', '2;a="'].map(
        (line) => `${CHUNKED}${line}\r\nok\r\n0\r\n\r\n`,
      ),
      `${CHUNKED}2\nok\r\n0\r\n\r\n`,
      `${CHUNKED}2\r\nok0\r\n\r\n`,
      `${CHUNKED}2\r\nokXX0\r\n\r\n`,
      `${CHUNKED}2\r\nok\n0\r\n\r\n`,
      `${CHUNKED}2\r\nok\r\n0\r\nA b: c\r\n\r\n`,
      ...[
        'HTTP/1.2 200 OK',
        'HTTP/1.10 200 OK',
        'HTTP/11.1 200 OK',
        'http/1.1 200 OK',
        'ICY 200 OK',
        'HTTP/1.1  200 OK',
        'HTTP/1.1 20 OK',
        'HTTP/1.1 2000 OK',
        'HTTP/1.1 2x0 OK',
        'HTTP/1.1 +200 OK',
      ].map((line) => `${line}\r\n\r\nok`),
    ];
    for (const wire of wires) {
      expect(receive([wire], { closes: true }).outcome, wire).toBeInstanceOf(Error);
      expect((await readWithLlhttp(wire, 'GET')).refusal, wire).not.toBeNull();
    }
  });

  test('read any response alike', async () => {
    await fc.assert(
      fc.asyncProperty(samples, async ({ method, wire }) => {
        const ours = receive([wire], { method, closes: true });
        expect(ours).toMatchObject({ outcome: 'complete', leftover: '' });
        await expectSameReading(ours, wire, method);
      }),
      { numRuns: 1000 },
    );
  });

  test('refuse what is damaged, or read it alike, but for the exceptions', async () => {
    const seen = { accepted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(damaged, async ({ method, wire }) => {
        const ours = receive([wire], { method, closes: true });
        if (ours.outcome === 'complete') {
          seen.accepted++;
          // What follows a response is nobody's, and has no say in it.
          await expectSameReading(ours, wire.slice(0, wire.length - ours.leftover.length), method);
        } else {
          seen.refused++;
          await expectRefusal(ours, wire, method);
        }
      }),
      { numRuns: 5000 },
    );
    expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(500);
  });
});

/** llhttp reads `wire` as we did, or an exception covers it. */
async function expectSameReading(ours: Received, wire: string, method: string): Promise<void> {
  const theirs = await readWithLlhttp(wire, method);
  const exceptions = LAXER.filter(({ covers }) => covers(ours));
  if (exceptions.length > 0 && theirs.refusal !== null) {
    expect(exceptions.some(({ refusal }) => refusal === null || refusal.test(theirs.refusal ?? ''))).toBe(true);
    return;
  }
  if (exceptions.some(({ refusal }) => refusal === null)) return;
  expect(theirs.refusal).toBeNull();
  expect({ ...theirs.head }).toEqual({
    ...oracleHead(ours.head),
    httpVersion: ours.head?.version === 10 ? '1.0' : '1.1',
  });
  expect(theirs.interims).toEqual(ours.interims.map(oracleHead));
  expect(theirs.content).toBe(ours.content);
  expect(theirs.rawTrailers).toEqual(rawFields(ours.trailerSection));
}

/** llhttp refuses `wire` too, or a row of STRICTER gives the reason for which we do. */
async function expectRefusal(ours: Received, wire: string, method: string): Promise<void> {
  const theirs = await readWithLlhttp(wire, method);
  if (theirs.refusal !== null || headsOf(ours).some((head) => TAB_AFTER_CHUNKED.test(head))) return;
  const message = ours.outcome instanceof Error ? ours.outcome.message : ours.outcome;
  expect(
    STRICTER.some((rule) => rule.message.test(message) && rule.where?.test(wire) !== false),
    message,
  ).toBe(true);
}

function headsOf({ interims, head }: Received): string[] {
  return [...interims, ...(head === null ? [] : [head])].map(({ fieldSection }) => fieldSection);
}

function oracleHead(head: ResponseHead | null): OracleHead | null {
  return head === null ? null : { status: head.status, reason: head.reason, rawHeaders: rawFields(head.fieldSection) };
}

function rawFields(section: string): string[] {
  return section
    .split('\r\n')
    .slice(0, -1)
    .flatMap((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')];
    });
}

/** Generated responses without the tabs that llhttp does not know: those are two rows above. */
const samples = responses.map(({ method, wire }) => ({
  method,
  wire: wire.replace(/^((?:transfer-encoding|content-length):[^\r]*?)[ \t]+\r$/gim, '$1\r'),
}));

const INSERTED = [
  ...['\r', '\n', '\r\n', '\r\n\r\n', '\n\n', '\0', ' ', '\t', '\x0b', '\x7f', '\x80', '\xa0', '\xff', ':', ' :', ': '],
  ...[',', ';', '=', '"', '\\', '+', '-', '_', '.', '0', '1', '5', '9', 'a', 'F', 'g', 'x', '0x', '00', 'K'],
  ...[
    'chunked',
    ', chunked',
    'chunked, ',
    'identity',
    'gzip, ',
    ';a=b',
    ';a="b\\""',
    ' ;a',
    '; a',
    ';a=',
    ';a ',
    ';=a',
  ],
  ...['0\r\n\r\n', '0\r\n', '1\r\na\r\n', '\r\n ', '\r\n\t', '\n ', ' A: b\r\n', 'A\r\n', ':\r\n', 'A: b\r\n'],
  ...['HTTP/1.1 200 OK\r\n', 'HTTP/1.1 100\r\n\r\n', 'HTTP/1.1 101\r\n', 'HTTP/1.0', '204', '304', '101', '099', '999'],
  ...[
    'Content-Length: 2\r\n',
    'Content-Length: 0\r\n',
    'Content-Length : 2\r\n',
    'content-length: 5\r\n',
    'Content-Length:\r\n',
  ],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: identity\r\n',
    'Transfer-Encoding:\r\n',
    'Connection: close\r\n',
  ],
  ...[
    'Connection: keep-alive\r\n',
    'Connection: upgrade\r\nUpgrade: x\r\n',
    'Upgrade: x\r\n',
    'Proxy-Connection: close\r\n',
  ],
];
const edits = fc.record({ at: fc.nat(), removed: fc.nat(3), put: fc.constantFrom('', ...INSERTED) });
const damaged = fc
  .record({ sample: samples, changes: fc.array(edits, { minLength: 1, maxLength: 3 }) })
  .map(({ sample, changes }) => ({
    method: sample.method,
    wire: changes.reduce((wire, { at, removed, put }) => {
      const where = at % (wire.length + 1);
      return wire.slice(0, where) + put + wire.slice(where + removed);
    }, sample.wire),
  }));
