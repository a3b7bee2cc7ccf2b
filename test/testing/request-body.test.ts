import { expect, test } from 'vitest';
import { MultipartError } from '../../src/testing/multipart.js';
import { Refusal } from '../../src/testing/refusal.js';
import { readBody } from '../../src/testing/request-body.js';

const EMPTY = { data: '', files: {}, form: {}, json: null };

test.each([
  { name: 'nothing', type: undefined, body: '', want: EMPTY },
  { name: 'text', type: 'text/plain', body: 'é', want: { ...EMPTY, data: 'é' } },
  {
    name: 'JSON, whatever its type',
    type: undefined,
    body: '{"a":[1]}',
    want: { ...EMPTY, data: '{"a":[1]}', json: { a: [1] } },
  },
  {
    name: 'a form, with its charset',
    type: 'application/x-www-form-urlencoded; charset=utf-8',
    body: 'a=1&b=%C3%A9+x&a=2&c',
    want: { ...EMPTY, form: { a: ['1', '2'], b: 'é x', c: '' } },
  },
])('readBody() reads $name', ({ type, body, want }) => {
  expect(readBody(Buffer.from(body), type)).toEqual(want);
});

test('readBody() shows bytes that are not UTF-8 as a data: URL', () => {
  expect(readBody(Buffer.from([0xff, 0]), 'image/x')).toEqual({
    ...EMPTY,
    data: 'data:application/octet-stream;base64,/wA=',
  });
});

test('readBody() tells fields from files and keeps several of a name', () => {
  const part = (head: string, content: string): string =>
    `--B\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`;
  const body = Buffer.from(
    [
      part('name=a', '1'),
      part('name=a', '2'),
      part('name=f; filename=x', 'text'),
      part('name=f; filename=y', '\xff'),
      part('name=g; filename=z\r\nContent-Type: image/png', '\x89PNG'),
      '--B--\r\n',
    ].join(''),
    'latin1',
  );
  expect(readBody(body, 'multipart/form-data; boundary=B')).toEqual({
    ...EMPTY,
    form: { a: ['1', '2'] },
    files: { f: ['text', 'data:application/octet-stream;base64,/w=='], g: 'data:image/png;base64,iVBORw==' },
  });
});

test('readBody() refuses a malformed multipart body with 400', () => {
  expect(() => readBody(Buffer.from('x'), 'multipart/form-data; boundary=B')).toThrow(
    new MultipartError('The body does not begin with the boundary'),
  );
  expect(() => readBody(Buffer.from('x'), 'multipart/form-data')).toThrow(Refusal);
});
