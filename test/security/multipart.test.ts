import { describe, expect, test, vi } from 'vitest';
import { formatHeaderParamRfc2231, RequestField } from '../../src/fields.js';
import { chooseBoundary, encodeMultipartFormdata, type FieldsInput } from '../../src/filepost.js';

const HOSTILE = [
  '"',
  '\\',
  '\r',
  '\n',
  '\r\n',
  '\0',
  '"; name="x',
  'a\r\n\r\nbody\r\n--B\r\n',
  '\u010d\u010a\u560d',
  '\ud800',
];

/** Every CRLF, bare CR and bare LF of a form that we did not write for its structure. */
function strayLineEnds(body: string): number {
  const structure = /--B\r\nContent-Disposition: [^\r\n]*\r\n(Content-Type: [^\r\n]*\r\n)?\r\n[^\r\n]*\r\n|--B--\r\n/g;
  return body.replace(structure, '').length;
}

describe('SEC-023 (CVE-2026-12143, CVE-2024-22049, CVE-2026-50269): names cannot leave their quotes', () => {
  test.each(HOSTILE)('SEC-023: encodeMultipartFormdata() makes two parts of two fields named %j', (text) => {
    const body = encodeMultipartFormdata(
      [
        [text, 'x'],
        [text, [text, 'y', 'a/b']],
      ],
      { boundary: 'B' },
    )[0].toString();
    expect(strayLineEnds(body)).toBe(0);
    expect(body.match(/"/g)).toHaveLength(6);
    expect(body.match(/^--B\r$/gm)).toHaveLength(2);
  });

  test.each(HOSTILE)('SEC-023: formatHeaderParamRfc2231() keeps %j on one line', (text) => {
    const body = encodeMultipartFormdata(
      [RequestField.fromTuples(text, 'x', { headerFormatter: formatHeaderParamRfc2231 })],
      { boundary: 'B' },
    )[0].toString();
    expect(strayLineEnds(body)).toBe(0);
  });

  test.each(['a\r\nX: y', 'a\rb', 'a\nb', 'a\0b', 'a\r\n folded', '\u001b[31m', '\u007f'])(
    'SEC-023 (SEC-017): a part header whose value is %j is refused',
    (value) => {
      const message = 'it must not hold CR, LF, NUL or other control characters';
      expect(() => new RequestField('n', '', { headers: { 'X-A': value } }).renderHeaders()).toThrow(message);
      const field = new RequestField('n', '');
      for (const option of ['contentDisposition', 'contentType', 'contentLocation']) {
        field.makeMultipart({ [option]: value });
        expect(() => encodeMultipartFormdata([field])).toThrow(TypeError);
      }
      expect(() => encodeMultipartFormdata({ f: ['n', 'd', `a/${value}`] })).toThrow(TypeError);
    },
  );

  test.each(['a\r\nb', 'a:b', 'a b', ' a', 'a\0', '', 'ä', '\u212a'])(
    'SEC-023 (SEC-016): a part header named %j is refused',
    (name) => {
      const field = new RequestField('n', '', { headers: { [name]: 'x' } });
      expect(() => field.renderHeaders()).toThrow("as the name of a part's header: it must be a token");
    },
  );

  test('SEC-023: a headerFormatter of the caller cannot add lines either', () => {
    const field = new RequestField('n', '', { headerFormatter: (name, value) => `${name}=${value}\r\nX: y` });
    field.makeMultipart();
    expect(() => field.renderHeaders()).toThrow(TypeError);
  });
});

describe('SEC-024 (CVE-2025-7783, CVE-2025-22150): boundaries', () => {
  test('SEC-024: chooseBoundary() does not ask Math.random, and gives 128 bits', () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const [first, second] = [encodeMultipartFormdata({})[1], encodeMultipartFormdata({})[1]];
    expect(first).not.toBe(second);
    expect(chooseBoundary()).toMatch(/^[0-9a-f]{32}$/);
    expect(random).not.toHaveBeenCalled();
    random.mockRestore();
  });

  test.each<[unknown]>([
    [''],
    ['a\r\nb'],
    ['a"b'],
    ['a\n'],
    ['a '],
    ['ä'],
    ['a;b'],
    ['a*b'],
    ['x'.repeat(71)],
    [5],
    [{ toString: () => 'a' }],
  ])('SEC-024: the boundary %j is refused', (boundary) => {
    // Callers without types give anything.
    expect(() => encodeMultipartFormdata({}, { boundary: boundary as string })).toThrow(
      'as a boundary: it must be 1 to 70',
    );
  });

  test.each(['a', 'x'.repeat(70), "a b'()+_,-./:=?"])('SEC-024: the boundary %j is accepted', (boundary) => {
    expect(encodeMultipartFormdata({}, { boundary })[0].toString()).toBe(`--${boundary}--\r\n`);
  });

  test.each(['--B', 'x\r\n--B--\r\n', Buffer.from('..--B')])(
    'SEC-024: a given boundary that occurs in the data %j is refused',
    (data) => {
      expect(() => encodeMultipartFormdata({ f: data }, { boundary: 'B' })).toThrow('it occurs in the data of a field');
    },
  );
});

describe('SEC-019 (CVE-2026-15157, CVE-2026-42037, CVE-2026-34514): values are read once', () => {
  function twoFaced(property: string, answers: readonly unknown[]): object {
    let reads = 0;
    const base = { size: 1, type: '', name: 'n', slice() {}, arrayBuffer() {}, [Symbol.toStringTag]: 'File' };
    return Object.defineProperty(base, property, { get: () => answers[Math.min(reads++, answers.length - 1)] });
  }

  test('SEC-019: the type of a Blob-like that changes is checked as it is written', () => {
    const field = RequestField.fromTuples('f', [null, twoFaced('type', ['a/b', 'x\r\nX: y'])] as never);
    expect(field.headers.get('Content-Type')).toBe('a/b');
    expect(() => RequestField.fromTuples('f', [null, twoFaced('type', ['x\r\nX: y'])] as never)).toThrow(TypeError);
  });

  test('SEC-019: the name of a File-like that changes is written as it was read', () => {
    const field = RequestField.fromTuples('f', twoFaced('name', ['a\r\n', 'b"c']) as never);
    expect(field.renderHeaders()).toContain('name="f"; filename="a%0D%0A"\r\n');
  });

  test.each<[string, unknown]>([
    ['an object as a file name', { f: [{ toString: () => 'x' }, 'd'] }],
    ['an object as a MIME type', { f: ['x', 'd', { toString: () => 'a/b' }] }],
    ['an object as a value', { f: { toString: () => 'x', valueOf: () => 'x' } }],
    ['an object as a name', [[{ toString: () => 'x' }, 'd']]],
  ])('SEC-019: %s is refused', (_, fields) => {
    // Callers without types give anything.
    expect(() => encodeMultipartFormdata(fields as FieldsInput)).toThrow(TypeError);
  });

  test('SEC-019: an object as a part header, or as the type of a Blob, is refused', () => {
    const value = { toString: () => 'x' };
    expect(() => new RequestField('n', '', { headers: { 'X-A': value } as never })).toThrow(TypeError);
    expect(() => RequestField.fromTuples('f', twoFaced('type', [value]) as never)).toThrow(
      'Cannot use the type an object (Object) of a Blob',
    );
  });
});

test('SEC-027: options come from the caller and not from a polluted Object.prototype', () => {
  const polluted = ['boundary', 'filename', 'headerFormatter', 'contentType', 'default'];
  try {
    for (const name of polluted)
      Object.defineProperty(Object.prototype, name, { value: 'x', configurable: true, writable: true });
    const [body, contentType] = encodeMultipartFormdata({ f: 'v' });
    expect(body.toString()).toMatch(/^--[0-9a-f]{32}\r\nContent-Disposition: form-data; name="f"\r\n\r\nv\r\n--/);
    expect(contentType).toMatch(/=[0-9a-f]{32}$/);
  } finally {
    for (const name of polluted) Reflect.deleteProperty(Object.prototype, name);
  }
});

test('SEC-027: a field called __proto__ is a field like any other', () => {
  const fields: unknown = JSON.parse('{"__proto__": "v", "constructor": "w"}');
  // Its values are strings.
  const body = encodeMultipartFormdata(fields as Record<string, string>, { boundary: 'B' })[0].toString();
  expect(body).toContain('name="__proto__"\r\n\r\nv\r\n');
  expect(body).toContain('name="constructor"\r\n\r\nw\r\n');
});
