import { describe, expect, test, vi } from 'vitest';
import {
  type FieldData,
  type FileTuple,
  formatHeaderParam,
  formatHeaderParamHtml5,
  formatHeaderParamRfc2231,
  formatMultipartHeaderParam,
  guessContentType,
  RequestField,
} from '../src/fields.js';

describe('guessContentType()', () => {
  test.each([
    ['image.jpg', 'image/jpeg'],
    ['notsure', 'application/octet-stream'],
    ['json', 'application/octet-stream'],
    ['A.PDF', 'application/pdf'],
    ['dir.txt/none', 'application/octet-stream'],
    ['report.docx', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
    ['x.no-such-extension', 'application/octet-stream'],
    ['.txt', 'application/octet-stream'],
    ['ends-with.', 'application/octet-stream'],
    ['', 'application/octet-stream'],
    [null, 'application/octet-stream'],
    [undefined, 'application/octet-stream'],
  ])('guessContentType(%j) is %s', (filename, want) => {
    expect(guessContentType(filename)).toBe(want);
  });

  test('guessContentType() says the default that it was given', () => {
    expect(guessContentType('x', { default: 'a/b' })).toBe('a/b');
    expect(guessContentType('x.txt', { default: 'a/b' })).toBe('text/plain');
  });
});

test('guessContentType() knows no type where packages cannot be loaded, as in a bundle', async () => {
  vi.resetModules();
  vi.doMock('node:module', () => ({
    createRequire: () => () => {
      throw new Error("Cannot find module 'mime-types'");
    },
  }));
  try {
    const bundled = await import('../src/fields.js');
    expect(bundled.guessContentType('x.txt')).toBe('application/octet-stream');
  } finally {
    vi.doUnmock('node:module');
    vi.resetModules();
  }
});

describe('formatting a parameter', () => {
  test.each<[string | Uint8Array, string]>([
    ['plain', 'name="plain"'],
    ['näme😀', 'name="näme😀"'],
    [Buffer.from('ä'), 'name="ä"'],
    ['a"b', 'name="a%22b"'],
    ['a\\b', 'name="a\\b"'],
    ['a\r\nb', 'name="a%0D%0Ab"'],
    ['a\0\u001b\u007fb', 'name="a%00%1B%7Fb"'],
    ['a\tb%22', 'name="a\tb%22"'],
  ])('formatMultipartHeaderParam() and its other names write %j', (value, want) => {
    for (const format of [formatMultipartHeaderParam, formatHeaderParamHtml5, formatHeaderParam]) {
      expect(format('name', value)).toBe(want);
    }
  });

  test.each<[string | Uint8Array, string]>([
    ['plain name', 'filename="plain name"'],
    ['näme', "filename*=utf-8''n%C3%A4me"],
    [Buffer.from('ä'), "filename*=utf-8''%C3%A4"],
    ['a"b\\c', "filename*=utf-8''a%22b%5Cc"],
    ['a\r\nb\0', "filename*=utf-8''a%0D%0Ab%00"],
    ["ä!'()*-._~", "filename*=utf-8''%C3%A4%21%27%28%29%2A-._~"],
    ['\ud800', "filename*=utf-8''%EF%BF%BD"],
  ])('formatHeaderParamRfc2231() writes %j', (value, want) => {
    expect(formatHeaderParamRfc2231('filename', value)).toBe(want);
  });
});

describe('RequestField', () => {
  test('makeMultipart() sets the three headers, whatever spelling was there', () => {
    const field = new RequestField('somename', 'data', { headers: { 'content-type': 'old/x', 'X-Other': 'y' } });
    field.makeMultipart({ contentType: 'image/jpg', contentLocation: '/test' });
    expect(field.headers.get('Content-Disposition')).toBe('form-data; name="somename"');
    expect(field.headers.get('Content-Type')).toBe('image/jpg');
    field.makeMultipart({ contentDisposition: 'attachment' });
    expect([...field.headers]).toEqual([
      ['X-Other', 'y'],
      ['Content-Disposition', 'attachment; name="somename"'],
    ]);
  });

  test('renderHeaders() prints the three headers first, then the others in order, then an empty line', () => {
    const headers = { 'X-B': '1', 'content-location': '/l', 'X-A': ['2', '3'], 'X-Empty': '', 'content-type': 'a/b' };
    const field = new RequestField('n', 'data', { headers });
    expect(field.renderHeaders()).toBe(
      'Content-Type: a/b\r\nContent-Location: /l\r\nX-B: 1\r\nX-A: 2\r\nX-A: 3\r\n\r\n',
    );
    field.makeMultipart({ contentType: 'image/jpg', contentLocation: '/test' });
    expect(field.renderHeaders()).toBe(
      'Content-Disposition: form-data; name="n"\r\nContent-Type: image/jpg\r\nContent-Location: /test\r\nX-B: 1\r\nX-A: 2\r\nX-A: 3\r\n\r\n',
    );
  });

  test('renderHeaders() of a field without headers is an empty line', () => {
    expect(new RequestField('n', 'data').renderHeaders()).toBe('\r\n');
  });

  test('RequestField writes names with the headerFormatter it was given', () => {
    const field = new RequestField('n', '', { filename: 'skříň', headerFormatter: formatHeaderParamRfc2231 });
    field.makeMultipart();
    expect(field.renderHeaders()).toContain(`filename*=utf-8''sk%C5%99%C3%AD%C5%88`);
    const { headerFormatter } = RequestField.fromTuples('ä', 'x', { headerFormatter: formatHeaderParamRfc2231 });
    expect(headerFormatter).toBe(formatHeaderParamRfc2231);
  });

  test('RequestField refuses a name or filename that is not a string', () => {
    // Callers without types give anything.
    expect(() => new RequestField(5 as unknown as string, '')).toThrow(
      'Cannot use 5 as the name of a field: it must be a string',
    );
    expect(() => new RequestField('n', '', { filename: {} as string })).toThrow('as a filename: it must be a string');
  });
});

describe('RequestField.fromTuples()', () => {
  test.each<[string, FieldData | FileTuple, string | null, string | null]>([
    ['data', 'value', null, null],
    ['a number', 5, null, null],
    ['[filename, data]', ['a.txt', 'data'], 'a.txt', 'text/plain'],
    ['[filename, data] of an unknown type', ['a', 'data'], 'a', 'application/octet-stream'],
    ['[filename, data, mimeType]', ['a.txt', 'data', 'image/x; q="é"'], 'a.txt', 'image/x; q="é"'],
    ['a mimeType of undefined', ['a.txt', 'data', undefined], 'a.txt', 'text/plain'],
    ['a mimeType of null', ['a.txt', 'data', null], 'a.txt', null],
    ['an empty mimeType', ['a.txt', 'data', ''], 'a.txt', null],
    ['a filename of null', [null, 'data', 'a/b'], null, 'a/b'],
    ['a filename of undefined', [undefined, 'data'], null, 'application/octet-stream'],
    ['a Blob', new Blob(['x'], { type: 'a/b' }), 'blob', 'a/b'],
    ['a Blob without type', new Blob(['x']), 'blob', 'application/octet-stream'],
    ['a File', new File(['x'], 'f.txt', { type: 'a/b' }), 'f.txt', 'a/b'],
    ['a Blob in a tuple', ['n.txt', new Blob(['x'], { type: 'a/b' })], 'n.txt', 'a/b'],
    ['a Blob without type in a tuple', ['n.txt', new Blob(['x'])], 'n.txt', 'text/plain'],
  ])('RequestField.fromTuples() takes %s', (_, value, filename, contentType) => {
    const field = RequestField.fromTuples('field', value);
    expect(field.filename).toBe(filename);
    expect(field.headers.get('Content-Type', null)).toBe(contentType);
    const written = filename === null ? '' : `; filename="${filename}"`;
    expect(field.headers.get('Content-Disposition')).toBe(`form-data; name="field"${written}`);
  });

  test.each<[string, unknown, string]>([
    ['a tuple of one', ['a.txt'], 'Cannot use an array of 1 as field "field": a file must be [filename, data]'],
    ['a tuple of four', ['a.txt', 'b', 'c/d', 'e'], 'Cannot use an array of 4 as field "field"'],
    ['a filename that is no string', [5, 'data'], 'a file must be [filename, data]'],
    [
      'a MIME type without a slash',
      ['1', '2', '3'],
      'Cannot use "3" as the MIME type of field "field": it must look like "text/plain"',
    ],
    ['a MIME type that is no string', ['1', '2', 3], 'Cannot use 3 as the MIME type'],
  ])('RequestField.fromTuples() refuses %s', (_, value, message) => {
    // Callers without types give anything.
    expect(() => RequestField.fromTuples('field', value as FileTuple)).toThrow(TypeError);
    expect(() => RequestField.fromTuples('field', value as FileTuple)).toThrow(message);
  });
});
