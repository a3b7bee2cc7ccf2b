import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MultipartError, parseMultipart, parseParameters } from '../../src/testing/multipart.js';

const parts = (wire: string, boundary = 'B') =>
  parseMultipart(Buffer.from(wire, 'utf8'), boundary).map(({ content, ...rest }) => ({
    ...rest,
    content: content.toString('utf8'),
  }));

describe('parseMultipart() reads', () => {
  test.each([
    { name: 'no part at all', wire: '--B--\r\n', want: [] },
    {
      name: 'a field',
      wire: '--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--B--',
      want: [{ name: 'a', content: '1' }],
    },
    {
      name: 'an empty field and content that looks like a boundary',
      wire: '--B\r\ncontent-disposition:form-data;name=a\r\n\r\n\r\n--B\r\nContent-Disposition: form-data; name=b\r\n\r\nx--B\n\r\n--\r\n--B--\r\n',
      want: [
        { name: 'a', content: '' },
        { name: 'b', content: 'x--B\n\r\n--' },
      ],
    },
    {
      name: 'a file with its type',
      wire: '--B\r\nContent-Disposition: form-data; name="f"; filename="é.txt"\r\nContent-Type: text/plain \r\nX-Y: z\r\n\r\nhi\r\n--B--\r\n',
      want: [{ name: 'f', filename: 'é.txt', contentType: 'text/plain', content: 'hi' }],
    },
    {
      name: 'names as browsers escape them',
      wire: '--B\r\nContent-Disposition: form-data; name="a%22%0d%0Ab%20\\"; filename=""\r\n\r\n\r\n--B--\r\n',
      want: [{ name: 'a"\r\nb%20\\', filename: '', content: '' }],
    },
    {
      name: 'names as RFC 8187 has them',
      wire: "--B\r\nContent-Disposition: form-data; name*=utf-8''n%C3%A4me; filename*=UTF-8'en'%E2%82%AC\r\n\r\n\r\n--B--\r\n",
      want: [{ name: 'näme', filename: '€', content: '' }],
    },
  ])('$name', ({ wire, want }) => expect(parts(wire)).toEqual(want));
});

describe('parseMultipart() rejects', () => {
  const field = 'Content-Disposition: form-data; name="a"';
  test.each([
    { name: 'an empty body', wire: '' },
    { name: 'a preamble', wire: `\r\n--B\r\n${field}\r\n\r\n1\r\n--B--\r\n` },
    { name: 'another boundary', wire: `--C\r\n${field}\r\n\r\n1\r\n--C--\r\n` },
    { name: 'a missing end', wire: `--B\r\n${field}\r\n\r\n1\r\n` },
    { name: 'half an end', wire: `--B\r\n${field}\r\n\r\n1\r\n--B-` },
    { name: 'a boundary that goes on', wire: `--B\r\n${field}\r\n\r\n1\r\n--Bx\r\n` },
    { name: 'blanks after a boundary', wire: `--B \r\n${field}\r\n\r\n1\r\n--B--\r\n` },
    { name: 'an epilogue', wire: `--B\r\n${field}\r\n\r\n1\r\n--B--\r\nmore` },
    { name: 'a part without an empty line', wire: `--B\r\n${field}\r\n--B--\r\n` },
    { name: 'a part without fields', wire: '--B\r\n\r\n1\r\n--B--\r\n' },
    { name: 'a part without Content-Disposition', wire: '--B\r\nContent-Type: text/plain\r\n\r\n1\r\n--B--\r\n' },
    { name: 'another disposition', wire: '--B\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--B--\r\n' },
    { name: 'a part without a name', wire: '--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--\r\n' },
    { name: 'a repeated name', wire: `--B\r\n${field}; name="b"\r\n\r\n1\r\n--B--\r\n` },
    { name: 'an unclosed quote', wire: '--B\r\nContent-Disposition: form-data; name="a\r\n\r\n1\r\n--B--\r\n' },
    { name: 'a repeated field', wire: `--B\r\n${field}\r\n${field}\r\n\r\n1\r\n--B--\r\n` },
    { name: 'a bare LF in the fields', wire: `--B\r\n${field}\nX: y\r\n\r\n1\r\n--B--\r\n` },
    { name: 'a NUL in the fields', wire: `--B\r\n${field}\r\nX: \0\r\n\r\n1\r\n--B--\r\n` },
    { name: 'a field without a colon', wire: `--B\r\n${field}\r\nX\r\n\r\n1\r\n--B--\r\n` },
    {
      name: 'a charset that is not UTF-8',
      wire: "--B\r\nContent-Disposition: form-data; name*=latin1''a\r\n\r\n1\r\n--B--\r\n",
    },
    {
      name: 'broken percent-encoding',
      wire: "--B\r\nContent-Disposition: form-data; name*=utf-8''%E9\r\n\r\n1\r\n--B--\r\n",
    },
  ])('$name', ({ wire }) => expect(() => parts(wire)).toThrow(MultipartError));

  test.each(['', 'a\r\nb', 'a"', 'end ', 'x'.repeat(71)])('the boundary %j', (boundary) =>
    expect(() => parts('', boundary)).toThrow('The boundary is not one of RFC 2046'),
  );
});

test('parseMultipart() finds exactly the parts that were written, whatever their bytes', () => {
  const written = fc.array(fc.tuple(fc.string(), fc.uint8Array({ maxLength: 50 })));
  fc.assert(
    fc.property(written, (fields) => {
      const pieces = fields.flatMap(([name, content]) => {
        const quoted = name.replace(/["\r\n]/g, encodeURIComponent).replaceAll('\0', '');
        return [`--limit\r\nContent-Disposition: form-data; name="${quoted}"\r\n\r\n`, content, '\r\n'];
      });
      const body = Buffer.concat([...pieces, '--limit--\r\n'].map((piece) => Buffer.from(piece)));
      const found = parseMultipart(body, 'limit');
      expect(found.map((part) => [...part.content])).toEqual(fields.map(([, content]) => [...content]));
    }),
  );
});

test('parseMultipart() takes linear time on a body full of almost boundaries', () => {
  const body = Buffer.from(
    `--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n${'\r\n--'.repeat(500_000)}\r\n--B--`,
  );
  const startMs = performance.now();
  expect(parseMultipart(body, 'B')).toHaveLength(1);
  expect(performance.now() - startMs).toBeLessThan(1000);
});

describe('parseParameters()', () => {
  test.each([
    { text: '', value: '', parameters: [] },
    { text: 'Text/HTML', value: 'text/html', parameters: [] },
    {
      text: 'a/b ; Charset=x; q="1; 2" ',
      value: 'a/b',
      parameters: [
        ['charset', 'x'],
        ['q', '1; 2'],
      ],
    },
  ])('reads $text', ({ text, value, parameters }) => {
    const parsed = parseParameters(text);
    expect(parsed?.value).toBe(value);
    expect([...(parsed?.parameters ?? [])]).toEqual(parameters);
  });

  test.each(['a;', 'a; b', 'a; b=', 'a; b="c', 'a; b=c; B=d', 'a; b="c"d'])('rejects %s', (text) => {
    expect(parseParameters(text)).toBeUndefined();
  });
});
