/**
 * Well-formed responses, generated: every framing, interim heads, chunk extensions, trailers, both versions.
 *
 * A sample knows what it says, so that reading it can be held against what was written.
 */
import fc from 'fast-check';
import type { Framing } from '../../src/http1/response-head.js';

export interface SampleField {
  readonly name: string;
  readonly value: string;
}

export interface SampleResponse {
  /** Of the request that it answers. */
  readonly method: string;
  readonly wire: string;
  readonly interimStatuses: readonly number[];
  readonly version: 10 | 11;
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly SampleField[];
  readonly framing: Framing['kind'];
  readonly persistent: boolean;
  readonly content: string;
  readonly trailers: readonly SampleField[];
}

const codes = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => String.fromCharCode(from + i));

const TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0189AZaz";
const VISIBLE = [...codes(0x21, 0x7e), ...codes(0x80, 0xff)];
const FRAMING_NAMES = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'content-encoding']);

const tokens = fc.string({ unit: fc.constantFrom(...TOKEN_CHARACTERS), minLength: 1, maxLength: 8 });
const names = fc
  .oneof(tokens, fc.constantFrom('Date', 'Server', 'Set-Cookie', 'Content-Type', 'X', 'Connections', 'Content-Lengthy'))
  .filter((name) => !FRAMING_NAMES.has(name.toLowerCase()));
const values = fc
  .string({ unit: fc.constantFrom(...VISIBLE, ' ', '\t', ',', ':'), maxLength: 12 })
  .map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ''));
const blanks = fc.constantFrom('', ' ', '\t', ' \t ');
const reasons = fc.oneof(
  fc.constantFrom('OK', '', 'Not Found'),
  fc.string({ unit: fc.constantFrom(...VISIBLE, ' ', '\t') }),
);
const contents = fc.string({
  unit: fc.constantFrom(...codes(0, 0xff), '\r\n', '0\r\n\r\n', 'HTTP/1.1 200 OK\r\n'),
  maxLength: 20,
});

interface Line extends SampleField {
  readonly text: string;
}

/** A line with its own blanks around the value. */
const lineOf = (field: fc.Arbitrary<SampleField>): fc.Arbitrary<Line> =>
  fc.record({ field, before: blanks, after: blanks }).map(({ field: { name, value }, before, after }) => ({
    name,
    value,
    text: `${name}:${before}${value}${after}\r\n`,
  }));
const anyLines = fc.array(lineOf(fc.record({ name: names, value: values })), { maxLength: 3 });
const line = (name: string, value: string) => lineOf(fc.constant({ name, value }));

const extensions = fc.array(
  fc.oneof(
    tokens,
    fc.tuple(tokens, tokens).map(([name, value]) => `${name}=${value}`),
    fc
      .tuple(tokens, fc.array(fc.constantFrom('a', ' ', '\t', ';', '=', '\\"', '\\\\', '\xe4')))
      .map(([name, value]) => `${name}="${value.join('')}"`),
  ),
  { maxLength: 2 },
);

interface Body {
  readonly framing: Framing['kind'];
  readonly lines: readonly Line[];
  readonly content: string;
  readonly trailers: readonly Line[];
  readonly wire: string;
}

const sizeLines = fc.record({ zeros: fc.constantFrom('', '0', '000'), upper: fc.boolean(), extensions });

function sizeLine(size: number, style: { zeros: string; upper: boolean; extensions: string[] }): string {
  const digits = size.toString(16);
  return [`${style.zeros}${style.upper ? digits.toUpperCase() : digits}`, ...style.extensions].join(';');
}

const chunkedBodies: fc.Arbitrary<Body> = fc
  .record({
    coding: line('Transfer-Encoding', 'chunked').chain((plain) =>
      fc.constantFrom(plain, {
        ...plain,
        name: 'TRANSFER-encoding',
        value: 'ChunKed',
        text: 'TRANSFER-encoding:ChunKed\r\n',
      }),
    ),
    chunks: fc.array(fc.record({ content: contents.filter((text) => text !== ''), style: sizeLines }), {
      maxLength: 4,
    }),
    last: sizeLines,
    trailers: anyLines,
  })
  .map(({ coding, chunks, last, trailers }) => ({
    framing: 'chunked',
    lines: [coding],
    content: chunks.map(({ content }) => content).join(''),
    trailers,
    wire: [
      ...chunks.map(({ content, style }) => `${sizeLine(content.length, style)}\r\n${content}\r\n`),
      `${sizeLine(0, last)}\r\n`,
      ...trailers.map(({ text }) => text),
      '\r\n',
    ].join(''),
  }));

const sizedBodies: fc.Arbitrary<Body> = fc
  .record({ content: contents, zeros: fc.constantFrom('', '0') })
  .chain(({ content, zeros }) =>
    line('Content-Length', `${zeros}${content.length}`).map((length) => ({
      framing: content === '' ? ('none' as const) : ('length' as const),
      lines: [length],
      content,
      trailers: [],
      wire: content,
    })),
  );

const bodiesUntilClose: fc.Arbitrary<Body> = contents.map((content) => ({
  framing: 'close-delimited',
  lines: [],
  content,
  trailers: [],
  wire: content,
}));

/** What announces content where none comes: HEAD, 204, 304. */
const noBodies: fc.Arbitrary<Body> = fc
  .oneof(
    line('Content-Length', '5').map((length) => [length]),
    line('Transfer-Encoding', 'chunked').map((coding) => [coding]),
    fc.constant([]),
  )
  .map((lines) => ({ framing: 'none', lines, content: '', trailers: [], wire: '' }));

const interimHeads = fc.record({ status: fc.constantFrom(100, 102, 103, 199), reason: reasons, lines: anyLines });

/** The Connection lines, and what they make of a connection that would be kept by the version alone. */
const connections = fc.constantFrom(
  { values: [], keeps: undefined },
  { values: ['keep-alive'], keeps: true },
  { values: ['Keep-Alive, te'], keeps: true },
  { values: ['x', 'KEEP-ALIVE'], keeps: true },
  { values: ['close'], keeps: false },
  { values: ['keep-alive, Close'], keeps: false },
  { values: ['keep-alive', ' close'], keeps: false },
  { values: ['closed'], keeps: undefined },
);

/** A whole response; one that runs until close must be followed by it. */
export const responses: fc.Arbitrary<SampleResponse> = fc
  .record({
    interims: fc.array(interimHeads, { maxLength: 2 }),
    version: fc.constantFrom(10 as const, 11 as const),
    status: fc.constantFrom(200, 206, 301, 404, 500, 999),
    emptyStatus: fc.constantFrom(204, 304),
    isHead: fc.boolean(),
    reason: reasons,
    before: anyLines,
    after: anyLines,
    connection: connections,
    body: fc.oneof(chunkedBodies, sizedBodies, bodiesUntilClose, noBodies),
  })
  .map(({ body, connection, interims, ...rest }) => {
    // A version that has no chunked coding would make it another case: one that is refused.
    const version = body.lines.some(({ name }) => name.toLowerCase() === 'transfer-encoding') ? 11 : rest.version;
    const status =
      body.framing === 'none' && body.lines[0]?.value !== '0' && !rest.isHead ? rest.emptyStatus : rest.status;
    const connectionLines = connection.values.map((value) => ({
      name: 'Connection',
      value: value.trim(),
      text: `Connection: ${value}\r\n`,
    }));
    const lines = [...rest.before, ...body.lines, ...connectionLines, ...rest.after];
    const head = (code: number, text: string, fields: readonly Line[], minor = 1) =>
      [`HTTP/1.${minor} ${code} ${text}\r\n`, ...fields.map((field) => field.text), '\r\n'].join('');
    return {
      method: body.framing === 'none' && rest.isHead ? 'HEAD' : 'GET',
      wire: [
        ...interims.map((interim) => head(interim.status, interim.reason, interim.lines)),
        head(status, rest.reason, lines, version - 10),
        body.wire,
      ].join(''),
      interimStatuses: interims.map((interim) => interim.status),
      version,
      status,
      reason: rest.reason,
      fields: lines.map(({ name, value }) => ({ name, value })),
      framing: body.framing,
      persistent: body.framing !== 'close-delimited' && (connection.keeps ?? version === 11),
      content: body.content,
      trailers: body.trailers.map(({ name, value }) => ({ name, value })),
    };
  });
