import { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BodySource } from '../src/body/source.js';
import { RequestField } from '../src/fields.js';
import {
  chooseBoundary,
  encodeMultipartFormdata,
  type FieldsInput,
  iterFieldObjects,
  iterFields,
  multipartSource,
} from '../src/filepost.js';

const BOUNDARY = '!! test boundary !!'.replaceAll('!', '+');

function encoded(fields: FieldsInput): string {
  return encodeMultipartFormdata(fields, { boundary: 'B' })[0].toString();
}

const part = (head: string, data: string) => `--B\r\nContent-Disposition: form-data; ${head}\r\n\r\n${data}\r\n`;
const END = '--B--\r\n';

describe('encodeMultipartFormdata()', () => {
  test.each<[string, FieldsInput, string]>([
    ['a plain object', { k: 'v', k2: 'v2' }, part('name="k"', 'v') + part('name="k2"', 'v2') + END],
    ['a Map', new Map([['k', 'v']]), part('name="k"', 'v') + END],
    [
      'pairs, repeated',
      [
        ['k', 'v'],
        ['k', 'w'],
      ],
      part('name="k"', 'v') + part('name="k"', 'w') + END,
    ],
    ['FormData', formData(), part('name="k"', 'v\n') + END],
    ['nothing', {}, END],
    ['bytes', { k: Buffer.from('v') }, part('name="k"', 'v') + END],
    [
      'numbers and booleans',
      { n: 5, b: false, g: 7n },
      part('name="n"', '5') + part('name="b"', 'false') + part('name="g"', '7') + END,
    ],
    ['undefined: left out', { k: undefined }, END],
    ['an empty list', { k: [] }, END],
    ['a file', { k: ['f.txt', 'v'] }, part('name="k"; filename="f.txt"\r\nContent-Type: text/plain', 'v') + END],
    [
      'a file with a type',
      { k: ['f.txt', 'v', 'a/b'] },
      part('name="k"; filename="f.txt"\r\nContent-Type: a/b', 'v') + END,
    ],
    [
      'several files of one name',
      {
        k: [
          ['f', 'v', 'a/b'],
          ['g', 'w', 'c/d'],
        ],
      },
      part('name="k"; filename="f"\r\nContent-Type: a/b', 'v') +
        part('name="k"; filename="g"\r\nContent-Type: c/d', 'w') +
        END,
    ],
    ['several numbers', { k: [1, 2] }, part('name="k"', '1') + part('name="k"', '2') + END],
    ['an array of chunks as a file', { k: [null, ['a', 'b'], null] }, part('name="k"', 'ab') + END],
    ['UTF-8', { 'ä"': 'ö' }, part('name="ä%22"', 'ö') + END],
    [
      'fields, fields by name, and pairs',
      [field('x'), ['n', field('y')], ['k', 'v']],
      part('name="x"', 'x') + part('name="y"', 'y') + part('name="k"', 'v') + END,
    ],
  ])('encodeMultipartFormdata() takes %s', (_, fields, want) => {
    expect(encoded(fields)).toBe(want);
  });

  test('encodeMultipartFormdata() names the boundary in the Content-Type, quoted where it must be', () => {
    const [body, contentType] = encodeMultipartFormdata({}, { boundary: BOUNDARY });
    expect(body.toString()).toBe(`--${BOUNDARY}--\r\n`);
    expect(contentType).toBe(`multipart/form-data; boundary="${BOUNDARY}"`);
    expect(encodeMultipartFormdata({}, { boundary: 'a-B_c' })[1]).toBe('multipart/form-data; boundary=a-B_c');
    expect(encodeMultipartFormdata({}, { boundary: null })[1]).toMatch(/^multipart\/form-data; boundary=[0-9a-f]{32}$/);
  });

  test.each<[string, unknown, string]>([
    [
      'a Blob',
      { f: new Blob(['x']) },
      'Cannot encode field "f" at once: its data must be streamed; use multipartSource()',
    ],
    ['a stream', { f: ['n', Readable.from(['x'])] }, 'use multipartSource(), or give the fields to a request'],
    ['null', { f: null }, 'Cannot send null as field "f": it must be a string, number, bytes'],
    ['a plain object', { f: { a: 1 } }, 'Cannot send an object (Object) as field "f"'],
    ['a string for the fields', 'a=b', 'Cannot use "a=b" as fields'],
    ['a Blob for the fields', new Blob(['x']), 'Cannot use an object (Blob) as fields'],
    [
      'a triple',
      [['a', 'b', 'c']],
      'Cannot use an array as a field: it must be a pair [name, value] whose name is a string',
    ],
  ])('encodeMultipartFormdata() refuses %s', (_, fields, message) => {
    // Callers without types give anything.
    expect(() => encodeMultipartFormdata(fields as FieldsInput)).toThrow(TypeError);
    expect(() => encodeMultipartFormdata(fields as FieldsInput)).toThrow(message);
  });
});

function field(name: string): RequestField {
  const made = new RequestField(name, name);
  made.makeMultipart();
  return made;
}

function formData(): FormData {
  const form = new FormData();
  form.append('k', 'v\n');
  return form;
}

test('iterFieldObjects() gives a RequestField for each field, and those given as they are', () => {
  const given = field('x');
  const [first, second] = iterFieldObjects([given, ['k', 'v']]);
  expect(first).toBe(given);
  expect(second).toMatchObject({ name: 'k', data: 'v', filename: null });
});

test('iterFields() gives pairs', () => {
  expect([...iterFields({ a: '1', b: ['f', 'x'] })]).toEqual([
    ['a', '1'],
    ['b', ['f', 'x']],
  ]);
  expect([...iterFields(new Map([['a', '1']]))]).toEqual([['a', '1']]);
});

test('chooseBoundary() is new each time', () => {
  expect(new Set(Array.from({ length: 100 }, chooseBoundary)).size).toBe(100);
});

describe('multipartSource()', () => {
  test('multipartSource() is the same bytes as encodeMultipartFormdata() for a form in memory', () => {
    const fields = { a: '1', f: ['x.txt', Buffer.from('data')] } as const;
    const [bytes, contentType] = encodeMultipartFormdata(fields, { boundary: 'B' });
    expect(multipartSource(fields, { boundary: 'B' })).toEqual({ kind: 'bytes', bytes, contentType });
  });

  test('multipartSource() streams what is not in memory, with its length, as often as wanted', async () => {
    const source = multipartSource(
      { a: '1', f: new File(['data'], 'x.txt', { type: 'a/b' }), b: '2' },
      { boundary: 'B' },
    );
    const file = part('name="f"; filename="x.txt"\r\nContent-Type: a/b', 'data');
    const want = part('name="a"', '1') + file + part('name="b"', '2') + END;
    expect(source).toMatchObject({ kind: 'stream', length: want.length, replayable: true });
    expect([await text(source), await text(source)]).toEqual([want, want]);
  });

  test('multipartSource() has no length and is sent once when a part is a stream', async () => {
    const source = multipartSource({ f: ['x', Readable.from(['da', 'ta']), null] }, { boundary: 'B' });
    expect(source).toMatchObject({ kind: 'stream', length: null, replayable: false });
    expect(await text(source)).toBe(part('name="f"; filename="x"', 'data') + END);
  });

  test('multipartSource() holds one chunk at a time of a form of 4 GiB', async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    let given = 0;
    function* large() {
      for (; given < 4096; given++) yield chunk;
    }
    const source = multipartSource({ f: ['big', large()] });
    if (source.kind !== 'stream') throw new Error('expected a stream');
    const before = process.memoryUsage();
    let sent = 0;
    let chunks = 0;
    for await (const bytes of source.open()) {
      sent += bytes.length;
      chunks++;
      expect(given).toBeLessThanOrEqual(chunks);
    }
    const after = process.memoryUsage();
    expect(sent).toBeGreaterThan(4096 * chunk.length);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * chunk.length);
  });
});

async function text(source: BodySource): Promise<string> {
  return (await bytesOf(source)).toString();
}

async function bytesOf(source: BodySource): Promise<Buffer> {
  if (source.kind === 'none') return Buffer.alloc(0);
  if (source.kind === 'bytes') return Buffer.from(source.bytes);
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.open()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

interface Field {
  readonly name: string;
  readonly filename: string | null;
  readonly data: string;
}

/** What a server may see of a name: controls other than the tab never reach it. */
const HOSTILE = fc.string({
  unit: fc.oneof(
    fc.constantFrom('"', '\r', '\n', '\r\n', '\0', '\t', ';', '=', '--', '%22', 'ä', '漢', '😀', 'name="'),
    fc.string(),
  ),
});

const fields = fc.array(
  fc.record<Field>({ name: HOSTILE, filename: fc.option(HOSTILE), data: fc.oneof(fc.string(), HOSTILE) }),
  { maxLength: 6 },
);

function withoutQuotes(text: string): string {
  return text.replace(
    /["\r\n\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g,
    (found) => `%${found.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** The names that WHATWG parsers undo. */
function asParsed(text: string): string {
  return withoutQuotes(text).replace(/%0A/gi, '\n').replace(/%0D/gi, '\r').replace(/%22/g, '"');
}

function pairs({ name, filename, data }: Field): [string, string | [string, string, string]] {
  return [name, filename === null ? data : [filename, data, 'a/b']];
}

test('any form is read back by the parser of fetch() as it was', () =>
  fc.assert(
    fc.asyncProperty(fields, fc.boolean(), async (given, isStreamed) => {
      const list = [...given.map(pairs), ...(isStreamed ? [['last', [null, new Blob(['x']), null]] as const] : [])];
      const source = multipartSource(list);
      const body = await bytesOf(source);
      const contentType = source.kind === 'none' ? null : source.contentType;
      const form = await new Response(body, { headers: { 'content-type': contentType ?? '' } }).formData();
      const read = await Promise.all(
        [...form].map(async ([name, value]) =>
          typeof value === 'string'
            ? { name, filename: null, data: value }
            : { name, filename: value.name, data: await value.text() },
        ),
      );
      const want = given.map(({ name, filename, data }) => ({
        name: asParsed(name),
        filename: filename === null ? null : asParsed(filename),
        data,
      }));
      expect(read).toEqual([...want, ...(isStreamed ? [{ name: 'last', filename: null, data: 'x' }] : [])]);
    }),
  ));

test('any form is read back by a server’s parser as it was', () =>
  fc.assert(
    fc.asyncProperty(fields, async (given) => {
      // Where a name holds a backslash, this parser unescapes it as in a quoted-string; WHATWG's form has no such escape.
      const list = given.map((one) => ({
        ...one,
        name: `n${one.name.replaceAll('\\', '')}`,
        filename: one.filename?.replaceAll('\\', '') ?? null,
      }));
      const [body, contentType] = encodeMultipartFormdata(list.map(pairs));
      const want = list.map(({ name, filename, data }) => [
        withoutQuotes(name),
        filename === null ? null : withoutQuotes(filename),
        data,
      ]);
      expect(await readByServer(body, contentType)).toEqual(want);
    }),
  ));

async function readByServer(body: Buffer, contentType: string): Promise<[string, string | null, string][]> {
  const parts: [string, string | null, string][] = [];
  const server = new Busboy({ headers: { 'content-type': contentType }, preservePath: true });
  server.on('field', (name, value) => parts.push([name, null, value]));
  server.on('file', (name, stream, filename) => {
    const found: [string, string | null, string] = [name, filename ?? '', ''];
    parts.push(found);
    stream.on('data', (chunk) => {
      found[2] += chunk.toString();
    });
  });
  const finished = new Promise((resolve, reject) => server.on('finish', resolve).on('error', reject));
  server.end(body);
  await finished;
  return parts;
}
