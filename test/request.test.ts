import { describe, expect, test } from 'vitest';
import { InvalidHeader, LocationValueError } from '../src/exceptions.js';
import { fieldLines, HTTPHeaderDict } from '../src/headers.js';
import { PoolManager } from '../src/poolmanager.js';
import { RequestMethods, type RequestOptions } from '../src/request.js';
import { resolveUrlopenOptions, sourceOf, type UrlopenOptions } from '../src/request-options.js';
import { HTTPResponse } from '../src/response.js';

interface Call {
  readonly method: string;
  readonly url: string;
  readonly options: UrlopenOptions | undefined;
}

/** Makes no requests: notes what it is asked for. */
class Noting extends RequestMethods {
  readonly calls: Call[] = [];

  override async urlopen(method: string, url: string, options?: UrlopenOptions): Promise<HTTPResponse> {
    this.calls.push({ method, url, options });
    return new HTTPResponse();
  }
}

async function callOf(make: (noting: Noting) => Promise<unknown>, headers?: HTTPHeaderDict): Promise<Call> {
  const noting = new Noting({ headers });
  await make(noting);
  const [call] = noting.calls;
  if (call === undefined) throw new Error('urlopen is called');
  return call;
}

/** The content of a call as text, and its type. */
async function contentOf({ options }: Call): Promise<readonly [text: string | null, type: string | null]> {
  const source = sourceOf(resolveUrlopenOptions(options));
  if (source.kind === 'none') return [null, null];
  if (source.kind === 'bytes') return [source.bytes.toString(), source.contentType];
  let text = '';
  for await (const piece of source.open()) text += Buffer.from(piece).toString();
  return [text, source.contentType];
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

describe('request()', () => {
  test.each(['get', 'Get', 'GET'])('request("%s") asks for it in capitals', async (method) => {
    for (const options of [undefined, {}]) {
      const call = await callOf((http) => http.request(method, '/x', options));
      expect(call).toMatchObject({ method: 'GET', url: '/x' });
    }
  });

  test.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])('request() puts the fields of a %s into the URL', async (method) => {
    const options = { fields: { a: '1', b: 'x y&z' }, encodeMultipart: true, multipartBoundary: 'b', timeout: 1 };
    const call = await callOf((http) => http.request(method, '/x', options));
    expect(call.url).toBe('/x?a=1&b=x+y%26z');
    expect({ ...call.options }).toEqual({ timeout: 1 });
    expect(await contentOf(call)).toEqual([null, null]);
  });

  test.each(['POST', 'PUT', 'PATCH', 'OWN'])('request() makes a form of the fields of a %s', async (method) => {
    const multipart = await callOf((http) =>
      http.request(method, '/x', {
        fields: { a: '1' },
        multipartBoundary: 'own',
        headers: { 'content-TYPE': 'x', B: '2' },
      }),
    );
    const [text, type] = await contentOf(multipart);
    expect(type).toBe('multipart/form-data; boundary=own');
    expect(text).toContain('Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--own--');
    expect(fieldLines(multipart.options?.headers)).toEqual([['B', '2']]);
    const urlencoded = await callOf((http) =>
      http.request(method, '/x', { fields: { a: '1 2' }, encodeMultipart: false }),
    );
    expect(await contentOf(urlencoded)).toEqual(['a=1+2', 'application/x-www-form-urlencoded']);
  });

  test('request() sends a value as JSON, with fields of a GET beside it', async () => {
    const call = await callOf((http) => http.request('POST', '/x', { json: { a: ['\u00e9', null] } }));
    expect(await contentOf(call)).toEqual(['{"a":["\u00e9",null]}', 'application/json']);
    for (const json of [null, 0, '', false]) {
      const falsy = await callOf((http) => http.request('POST', '/x', { json }));
      expect((await contentOf(falsy))[0]).toBe(JSON.stringify(json));
    }
    const both = await callOf((http) => http.request('GET', '/x', { json: 1, fields: { a: '1' } }));
    expect(both.url).toBe('/x?a=1');
    expect((await contentOf(both))[0]).toBe('1');
  });

  test.each([
    { options: { json: 1, body: 'x' }, says: 'json' },
    { options: { json: 1, fields: { a: '1' } }, says: 'json' },
    { options: { fields: { a: '1' }, body: 'x' }, says: 'fields and body' },
    { options: { fields: { a: '1' }, encodeMultipart: 'no' }, says: 'encodeMultipart "no"' },
    { options: { fields: { a: '1' }, multipartBoundary: 'a\r\nb' }, says: 'boundary' },
    { options: { fields: 5 }, says: '5' },
    { options: 5, says: 'options of a request' },
    { options: null, says: 'options of a request' },
    { options: { json: 1n }, says: 'as json' },
  ])('request() refuses $options', async ({ options, says }) => {
    const noting = new Noting();
    // What is given is wrong on purpose.
    const error = await rejection(noting.request('POST', '/x', options as RequestOptions));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain(says);
    expect(noting.calls).toEqual([]);
  });

  test('requestEncodeBody() without fields is urlopen()', async () => {
    const call = await callOf((http) => http.requestEncodeBody('post', '/x', { body: 'y', fields: null }));
    expect(call).toMatchObject({ method: 'post', url: '/x', options: { body: 'y' } });
    expect((await callOf((http) => http.requestEncodeBody('POST', '/x'))).options).toEqual(Object.create(null));
  });

  test('headers of its own go with a form, but for Content-Type', async () => {
    const own = new HTTPHeaderDict({ A: '1', 'Content-Type': 'text/plain' });
    const call = await callOf((http) => http.request('POST', '/x', { fields: { a: '1' } }), own);
    expect(fieldLines(call.options?.headers)).toEqual([['A', '1']]);
  });

  test.each([
    ['/x', { a: '1' }, '/x?a=1'],
    ['/x?b', { a: '1' }, '/x?b&a=1'],
    ['/x#f', { a: '1' }, '/x?a=1#f'],
    ['/x?b#f?g', new URLSearchParams('a=1'), '/x?b&a=1#f?g'],
    ['/x', {}, '/x'],
    ['/x', null, '/x'],
    [
      '/x',
      [
        ['a', '1'],
        ['a', '2'],
      ] as const,
      '/x?a=1&a=2',
    ],
    ['/x', new Map([['a', '1']]), '/x?a=1'],
  ])('requestEncodeUrl("%s") with fields %o asks for "%s"', async (url, fields, expected) => {
    expect((await callOf((http) => http.requestEncodeUrl('GET', url, { fields }))).url).toBe(expected);
  });
});

describe('what cannot be sent is refused before anything is looked up', () => {
  const manager = new PoolManager({ lookup: () => expect.fail('a name was looked up') });
  const URL_OF = 'http://a.test/';

  test.each<[string, unknown, unknown, unknown, new (...args: never[]) => Error]>([
    ['a method with a space', 'GET /', URL_OF, {}, TypeError],
    ['a method with a line end', 'GET\r\nX: y', URL_OF, {}, TypeError],
    ['an empty method', '', URL_OF, {}, TypeError],
    ['a method beyond ASCII', 'G\u212aT', URL_OF, {}, TypeError],
    ['a method whose capitals would be ASCII', 'po\u017ft', URL_OF, {}, TypeError],
    ['no method', undefined, URL_OF, {}, TypeError],
    ['a number as method', 5, URL_OF, undefined, TypeError],
    ['no URL', 'GET', undefined, {}, TypeError],
    ['a URL object', 'GET', new URL(URL_OF), {}, TypeError],
    ['an empty URL', 'GET', '', {}, LocationValueError],
    ['a path', 'GET', '/x', {}, LocationValueError],
    ['CR LF in a header', 'GET', URL_OF, { headers: { A: 'b\r\nC: d' } }, InvalidHeader],
    ['NUL in a header', 'GET', URL_OF, { headers: { A: 'b\0' } }, InvalidHeader],
    ['LF in a header name', 'GET', URL_OF, { headers: { 'A\n': 'b' } }, InvalidHeader],
    ['characters beyond latin1', 'GET', URL_OF, { headers: { A: '\u010d\u010a' } }, InvalidHeader],
    [
      'two Host headers',
      'GET',
      URL_OF,
      {
        headers: [
          ['Host', 'a'],
          ['host', 'b'],
        ],
      },
      InvalidHeader,
    ],
    [
      'a Content-Length that is wrong',
      'POST',
      URL_OF,
      { body: 'x', headers: { 'Content-Length': '2' } },
      InvalidHeader,
    ],
    ['headers that are none', 'GET', URL_OF, { headers: 5 }, TypeError],
    ['a negative timeout', 'GET', URL_OF, { timeout: -1 }, RangeError],
    ['a timeout of 0', 'GET', URL_OF, { timeout: 0 }, RangeError],
    ['a timeout in words', 'GET', URL_OF, { timeout: 'long' }, TypeError],
    ['a negative poolTimeout', 'GET', URL_OF, { poolTimeout: -1 }, RangeError],
    ['an unknown option', 'GET', URL_OF, { timeOut: 5 }, TypeError],
    ['an option of the reference’s spelling', 'GET', URL_OF, { preload_content: false }, TypeError],
    ['retries in words', 'GET', URL_OF, { retries: 'three' }, TypeError],
    ['a signal that is none', 'GET', URL_OF, { signal: {} }, TypeError],
    ['redirect as a number', 'GET', URL_OF, { redirect: 3 }, TypeError],
    ['preloadContent in words', 'GET', URL_OF, { preloadContent: 'no' }, TypeError],
    ['maxDecodedSize 0', 'GET', URL_OF, { maxDecodedSize: 0 }, RangeError],
    ['maxRatio under 1', 'GET', URL_OF, { maxRatio: 0.5 }, RangeError],
    ['onInformational that is no function', 'GET', URL_OF, { onInformational: true }, TypeError],
    ['releaseConn in words', 'GET', URL_OF, { releaseConn: 'now' }, TypeError],
    ['expectContinue in words', 'POST', URL_OF, { expectContinue: 'yes' }, TypeError],
    ['a body that is none', 'POST', URL_OF, { body: 5 }, TypeError],
    ['a body that is a plain object', 'POST', URL_OF, { body: { a: 1 } }, TypeError],
    ['options that are none', 'GET', URL_OF, 5, TypeError],
  ])('%s', async (_name, method, url, options, error) => {
    // What is given is wrong on purpose.
    const args = [method, url, options] as unknown as [string, string, RequestOptions];
    const [given] = args;
    expect(await rejection((async () => manager.request(...args))())).toBeInstanceOf(error);
    if (given !== 'po\u017ft') expect(await rejection(manager.urlopen(...args))).toBeInstanceOf(error);
  });
});
