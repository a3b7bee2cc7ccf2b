/**
 * What goes out, over real sockets and through a PoolManager: every kind of body and of fields, how it is framed, sent again, or
 * not sent, and what stays behind. How sources are made: body/content.test.ts; what each framing looks like: engine/.
 */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RequestBody } from '../src/body/source.js';
import { HTTPError, InvalidHeader, MaxRetryError, ProtocolError, UnrewindableBodyError } from '../src/exceptions.js';
import { RequestField } from '../src/fields.js';
import { PoolManager, type PoolManagerOptions } from '../src/poolmanager.js';
import type { RequestOptions } from '../src/request.js';
import { type Httpbin, startHttpbin } from '../src/testing/index.js';
import { ok, type Peer, redirectTo, reply, type Script, type SeenRequest, startPeer } from './pool-peers.js';
import { openSockets, timersLeftBy, watchHandles } from './support/leaks.js';
import { type PeerConnection, peer as rawPeer } from './support/peer.js';
import { refusingPort } from './transport/loopback.js';

watchHandles();

const TEXT = 'content: ä€😀\r\n\0end';
const BYTES = Buffer.from(TEXT);

let httpbin: Httpbin;
let folder = '';
let path = '';
beforeAll(async () => {
  httpbin = await startHttpbin();
  folder = await mkdtemp(join(tmpdir(), 'request-data-'));
  path = join(folder, 'content.bin');
  await writeFile(path, BYTES);
});
afterAll(async () => {
  await httpbin.close();
  await rm(folder, { recursive: true });
});

const opened: AsyncDisposable[] = [];
const files: FileHandle[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
  for (const file of files.splice(0)) await file.close();
});

async function peerOf(script: Script = () => ok()): Promise<Peer> {
  const peer = await startPeer(script);
  opened.push(peer);
  return peer;
}

async function rawPeerOf(script: (connection: PeerConnection) => void | Promise<void>) {
  const peer = await rawPeer(script);
  opened.push(peer);
  return { ...peer, url: `http://127.0.0.1:${peer.port}/` };
}

function manager(options: PoolManagerOptions = {}): PoolManager {
  const http = new PoolManager({ timeout: 10, retries: false, ...options });
  opened.push(http);
  return http;
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`resolved to ${String(value)}`),
    (reason: unknown) => reason,
  );
}

/** The one request that a call makes of a server. */
async function sent(options: RequestOptions, method = 'POST'): Promise<SeenRequest> {
  const peer = await peerOf();
  await manager().request(method, `${peer.url}/`, options);
  expect(peer.requests).toHaveLength(1);
  const [request] = peer.requests;
  return request ?? expect.fail('no request came');
}

async function fileHandle(): Promise<FileHandle> {
  const file = await open(path);
  files.push(file);
  return file;
}

/** Python's file, in memory. */
function fileLike(bytes: Buffer, position = 0) {
  let at = position;
  return {
    read(amount: number) {
      const start = at;
      at += amount;
      return bytes.subarray(start, at);
    },
    tell: () => at,
    async seek(to: number) {
      at = to;
    },
  };
}

async function* inPieces(...pieces: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  for (const piece of pieces) yield piece;
}

function view(): DataView {
  const around = Buffer.concat([Buffer.alloc(3), BYTES, Buffer.alloc(3)]);
  const buffer = Uint8Array.from(around).buffer;
  return new DataView(buffer, 3, BYTES.length);
}

interface Kind {
  readonly name: string;
  readonly make: () => RequestBody | Promise<RequestBody>;
  readonly type?: string;
  /** Sent with Content-Length; else chunked. */
  readonly hasLength: boolean;
  readonly isReplayable: boolean;
}

const [HEAD, TAIL] = [BYTES.subarray(0, 5), BYTES.subarray(5)];
const KINDS: readonly Kind[] = [
  { name: 'a string', make: () => TEXT, hasLength: true, isReplayable: true },
  { name: 'a Buffer', make: () => BYTES, hasLength: true, isReplayable: true },
  { name: 'an ArrayBuffer', make: () => Uint8Array.from(BYTES).buffer, hasLength: true, isReplayable: true },
  { name: 'a DataView', make: view, hasLength: true, isReplayable: true },
  {
    name: 'a Blob',
    make: () => new Blob([BYTES], { type: 'x/blob' }),
    type: 'x/blob',
    hasLength: true,
    isReplayable: true,
  },
  { name: 'a File', make: () => new File([BYTES], 'a'), hasLength: true, isReplayable: true },
  { name: 'a FileHandle', make: fileHandle, hasLength: true, isReplayable: true },
  { name: 'an array of bytes and strings', make: () => [HEAD, TAIL.toString()], hasLength: true, isReplayable: true },
  { name: 'a Set', make: () => new Set([HEAD, TAIL]), hasLength: false, isReplayable: true },
  {
    name: 'an object with read(), tell() and seek()',
    make: () => fileLike(BYTES),
    hasLength: false,
    isReplayable: true,
  },
  {
    name: 'a function that gives a stream',
    make: () => () => Readable.from([HEAD, TAIL]),
    hasLength: false,
    isReplayable: true,
  },
  { name: 'an async function that gives text', make: () => async () => TEXT, hasLength: false, isReplayable: true },
  { name: 'a Readable', make: () => Readable.from([HEAD, TAIL]), hasLength: false, isReplayable: false },
  { name: 'a file stream', make: () => createReadStream(path), hasLength: false, isReplayable: false },
  { name: 'a ReadableStream', make: () => new Blob([BYTES]).stream(), hasLength: false, isReplayable: false },
  { name: 'an async generator', make: () => inPieces(HEAD, '', TAIL), hasLength: false, isReplayable: false },
  { name: 'a generator', make: () => [HEAD, TAIL][Symbol.iterator](), hasLength: false, isReplayable: false },
  {
    name: 'an object with read() alone',
    make: () => ({ read: fileLike(BYTES).read }),
    hasLength: false,
    isReplayable: false,
  },
];
const REPLAYABLE = KINDS.filter(({ isReplayable }) => isReplayable);
const ONE_SHOT = KINDS.filter(({ isReplayable }) => !isReplayable);

describe('request() with body', () => {
  test.each(KINDS)(
    'request() sends $name as it is, with its length or in chunks',
    async ({ make, type, hasLength }) => {
      const request = await sent({ body: await make() });
      expect(request.body.equals(BYTES)).toBe(true);
      expect(request.all('Content-Type')).toEqual(type === undefined ? [] : [type]);
      expect(request.all('Content-Length')).toEqual(hasLength ? [String(BYTES.length)] : []);
      expect(request.all('Transfer-Encoding')).toEqual(hasLength ? [] : ['chunked']);
    },
  );

  test.each(KINDS)('request() with chunked: true sends $name in chunks', async ({ make }) => {
    const request = await sent({ body: await make(), chunked: true });
    expect(request.body.equals(BYTES)).toBe(true);
    expect([request.all('Content-Length'), request.all('Transfer-Encoding')]).toEqual([[], ['chunked']]);
  });

  test.each(KINDS)('request() sends $name with a Content-Length of the caller’s, if it is right', async ({ make }) => {
    const request = await sent({ body: await make(), headers: { 'content-length': String(BYTES.length) } });
    expect(request.body.equals(BYTES)).toBe(true);
    expect([request.all('Content-Length'), request.all('Transfer-Encoding')]).toEqual([[String(BYTES.length)], []]);
  });

  test('request() keeps a Content-Type of the caller’s', async () => {
    const headers = { 'content-type': 'mine/own' };
    for (const options of [
      { body: new Blob(['x'], { type: 'a/b' }) },
      { json: 1 },
      { body: new URLSearchParams('a=b') },
    ]) {
      expect((await sent({ ...options, headers })).all('Content-Type')).toEqual(['mine/own']);
    }
  });

  test('request() sends URLSearchParams and FormData as forms', async () => {
    const http = manager();
    const url = `${httpbin.url}/anything`;
    const search = new URLSearchParams([
      ['a', '1'],
      ['a', 'ä&='],
      ['b', ''],
    ]);
    const urlencoded = await http.request('POST', url, { body: search });
    expect(await urlencoded.json()).toMatchObject({ form: { a: ['1', 'ä&='], b: '' } });
    const form = new FormData();
    form.append('a', '1');
    form.append('f', new File([BYTES], 'ä".txt', { type: 'text/x' }));
    const multipart = await http.request('POST', url, { body: form });
    expect(await multipart.json()).toMatchObject({ form: { a: '1' }, files: { f: TEXT } });
  });

  test('request() with bodyPos begins there, and not where the file stands', async () => {
    expect(String((await sent({ body: fileLike(BYTES, 2), bodyPos: 9 })).body)).toBe(TEXT.slice(9));
    const request = await sent({ body: await fileHandle(), bodyPos: 9 });
    expect([String(request.body), request.field('Content-Length')]).toEqual([TEXT.slice(9), String(BYTES.length - 9)]);
    expect(String((await sent({ body: fileLike(BYTES, 9) })).body)).toBe(TEXT.slice(9));
  });

  test('request() with bodyPos sends the same again after a redirect', async () => {
    const peer = await peerOf(({ target }) => (target === '/' ? redirectTo('/next', 307) : ok()));
    await manager({ retries: 3 }).request('PUT', `${peer.url}/`, { body: fileLike(BYTES), bodyPos: 9 });
    expect(peer.requests.map(({ body }) => String(body))).toEqual([TEXT.slice(9), TEXT.slice(9)]);
  });

  test.each([
    ['a number', { body: 5 }],
    ['a plain object', { body: { a: 1 } }],
    ['a Map', { body: new Map([['a', 'b']]) }],
    ['bodyPos with text', { body: 'x', bodyPos: 1 }],
    ['a negative bodyPos', { body: fileLike(BYTES), bodyPos: -1 }],
    ['fields and body', { body: 'x', fields: { a: '1' } }],
    ['json and body', { json: 1, body: 'x' }],
    ['json and fields', { json: 1, fields: { a: '1' } }],
    ['json of a BigInt', { json: 1n }],
    ['json of a function', { json: () => 1 }],
    ['fields that are no fields', { fields: 'a=b' }],
    ['a field of a kind unknown', { fields: { a: { b: 1 } } }],
    ['a boundary that is none', { fields: { a: '1' }, multipartBoundary: 'a\r\nb' }],
    ['encodeMultipart that is no boolean', { fields: { a: '1' }, encodeMultipart: 1 }],
    ['chunked that is no boolean', { body: 'x', chunked: 'yes' }],
    ['expectContinue that is no time', { body: 'x', expectContinue: -1 }],
    ['a progress callback that is no function', { body: 'x', onUploadProgress: 1 }],
    ['a file in an urlencoded form', { fields: { f: new Blob(['x']) }, encodeMultipart: false }],
  ])('request() refuses %s before it connects', async (_, options) => {
    const peer = await peerOf();
    // As a caller without types may.
    const error = await rejection(manager().request('POST', peer.url, options as RequestOptions));
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    expect(String(error)).toMatch(/Cannot/);
    expect(peer.sockets).toHaveLength(0);
  });

  test.each([
    ['a length that is not the body’s', 'abc', { 'Content-Length': '4' }],
    [
      'two lengths',
      'abc',
      [
        ['Content-Length', '3'],
        ['content-length', '3'],
      ],
    ],
    ['a length that is no number', 'abc', { 'Content-Length': '0x3' }],
    ['a length and chunked', 'abc', { 'Content-Length': '3', 'Transfer-Encoding': 'chunked' }],
    ['a coding beside chunked', 'abc', { 'Transfer-Encoding': 'gzip, chunked' }],
    ['a length without a body', null, { 'Content-Length': '4' }],
  ] as const)('SEC-022: request() refuses %s in headers before it connects', async (_, body, headers) => {
    const peer = await peerOf();
    const fields: readonly (readonly [string, string])[] = Array.isArray(headers) ? headers : Object.entries(headers);
    expect(await rejection(manager().request('POST', peer.url, { body, headers: fields }))).toBeInstanceOf(
      InvalidHeader,
    );
    expect(peer.sockets).toHaveLength(0);
  });
});

describe('request() with json', () => {
  test('request() with json sends the value as UTF-8 with its type; with GET, fields stay in the URL', async () => {
    const request = await sent({ json: { a: [1, null, 'ä'] } });
    expect([String(request.body), request.field('Content-Type')]).toEqual(['{"a":[1,null,"ä"]}', 'application/json']);
    const get = await sent({ json: null, fields: { q: 'x' } }, 'GET');
    expect([get.target, String(get.body), get.field('Content-Length')]).toEqual(['/?q=x', 'null', '4']);
  });

  test('request() with json of 100,000 rows arrives whole', async () => {
    const json = Array.from({ length: 100_000 }, (_, id) => ({ id }));
    const response = await manager().request('POST', `${httpbin.url}/anything`, { json });
    expect((await response.json<{ json: unknown[] }>()).json).toHaveLength(100_000);
  });
});

describe('request() with fields', () => {
  const url = () => `${httpbin.url}/anything`;
  const want = { a: ['1', '2'], b: 'ä +&="' };
  const pairs: [string, string][] = [
    ['a', '1'],
    ['a', '2'],
    ['b', want.b],
  ];
  const form = new FormData();
  for (const [name, value] of pairs) form.append(name, value);
  const shapes = [
    ['a plain object', { a: ['1', '2'], b: want.b }],
    ['pairs', pairs],
    [
      'a Map',
      new Map<string, string | string[]>([
        ['a', ['1', '2']],
        ['b', want.b],
      ]),
    ],
    ['URLSearchParams', new URLSearchParams(pairs)],
    ['FormData', form],
  ] as const;

  test.each(shapes)('request() sends %s in the URL, urlencoded, or as multipart', async (_, fields) => {
    const http = manager();
    for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) {
      const given = { fields } as RequestOptions;
      const seen = await sent(given, method);
      expect([seen.target, seen.body.length]).toEqual(['/?a=1&a=2&b=%C3%A4+%2B%26%3D%22', 0]);
    }
    const given = { fields } as RequestOptions;
    // In a form with files, an array of strings is a file: its name and its data.
    const files = Symbol.iterator in fields && !(fields instanceof Map) ? {} : { a: '2' };
    const form = Object.keys(files).length > 0 ? { b: want.b } : want;
    expect(await (await http.request('POST', url(), given)).json()).toMatchObject({ form, files });
    expect(await (await http.request('PUT', url(), { ...given, encodeMultipart: false })).json()).toMatchObject({
      form: want,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    });
  });

  test('request() appends fields to the query of the URL, before its fragment', async () => {
    const peer = await peerOf();
    const http = manager();
    for (const given of ['/p?x=1#frag', '/p', '/p?#f'])
      await http.request('GET', peer.url + given, { fields: { q: 'y' } });
    expect(peer.requests.map(({ target }) => target)).toEqual(['/p?x=1&q=y', '/p?q=y', '/p?&q=y']);
  });

  test('request() sends files in memory with one exact length, over a Content-Type that the caller gave', async () => {
    const fields = { note: 'x', f: ['a.txt', BYTES], g: ['b.bin', TEXT, 'x/y'] } as const;
    const request = await sent({ fields, headers: { 'Content-Type': 'mine/own' }, multipartBoundary: 'limit' });
    expect(request.all('Content-Type')).toEqual(['multipart/form-data; boundary=limit']);
    expect(request.field('Content-Length')).toBe(String(request.body.length));
    expect(String(request.body)).toContain(`name="f"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n${TEXT}`);
    expect(String(request.body).endsWith('--limit--\r\n')).toBe(true);
  });

  test('request() streams a form with its length where every part’s is known, and in chunks where one is not', async () => {
    const known = { note: 'x', blob: ['b', new Blob([BYTES])], file: ['f', await fileHandle()] } as const;
    const one = await sent({ fields: known });
    expect([one.field('Content-Length'), one.field('Transfer-Encoding')]).toEqual([String(one.body.length), undefined]);
    const two = await sent({ fields: [...Object.entries(known), ['stream', ['s', Readable.from([HEAD, TAIL])]]] });
    expect([two.field('Content-Length'), two.field('Transfer-Encoding')]).toEqual([undefined, 'chunked']);
    for (const { body, headers } of [one, two].map(({ body, field }) => ({
      body,
      headers: { 'content-type': field('content-type') ?? '' },
    }))) {
      const read = await new Response(Uint8Array.from(body), { headers }).formData();
      for (const name of body === one.body ? ['blob', 'file'] : ['blob', 'file', 'stream']) {
        const file = read.get(name);
        expect(file instanceof File && (await file.text())).toBe(TEXT);
      }
      expect(read.get('note')).toBe('x');
    }
  });

  test('request() takes a list of RequestField with headers of their own', async () => {
    const field = new RequestField('f', BYTES, { filename: 'a', headers: { 'X-Own': '1' } });
    field.makeMultipart({ contentType: 'x/y' });
    expect(String((await sent({ fields: [field] })).body)).toContain('X-Own: 1\r\n');
  });
});

describe('request() that sends a body again', () => {
  test.each(REPLAYABLE)(
    'request() sends $name again after a 307 and a 308, within the host and beyond',
    async ({ make }) => {
      const other = await peerOf();
      const peer = await peerOf(({ target }) =>
        target === '/' ? redirectTo('/2', 307) : redirectTo(`${other.url}/3`, 308),
      );
      const response = await manager({ retries: 3 }).request('POST', `${peer.url}/`, { body: await make() });
      expect(response.status).toBe(200);
      const requests = [...peer.requests, ...other.requests];
      expect(requests.map(({ method, target }) => `${method} ${target}`)).toEqual(['POST /', 'POST /2', 'POST /3']);
      for (const { body } of requests) expect(body.equals(BYTES)).toBe(true);
    },
  );

  test.each(REPLAYABLE)(
    'request() sends $name again when the connection breaks, and when a status is to be retried',
    async ({ make }) => {
      let attempt = 0;
      const peer = await peerOf((_request, socket) => {
        if (++attempt === 1) socket.resetAndDestroy();
        return attempt === 2 ? reply(503, '', { 'Retry-After': '0' }) : ok();
      });
      const response = await manager({ retries: 3 }).request('PUT', `${peer.url}/`, { body: await make() });
      expect([response.status, peer.requests.length]).toEqual([200, 3]);
      for (const { body } of peer.requests) expect(body.equals(BYTES)).toBe(true);
    },
  );

  test.each(ONE_SHOT)(
    'SEC-126 (undici #5274): request() raises UnrewindableBodyError for $name, and sends nothing more',
    async ({ make }) => {
      const redirecting = await peerOf(() => redirectTo('/again', 307));
      const http = manager({ retries: 3 });
      const error = await rejection(http.request('POST', `${redirecting.url}/`, { body: await make() }));
      expect(error).toBeInstanceOf(UnrewindableBodyError);
      expect(String(error)).toContain('Cannot send the body again');
      expect(redirecting.received).not.toContain('/again');

      const breaking = await peerOf((_request, socket) => {
        socket.resetAndDestroy();
        return undefined;
      });
      const broken = await rejection(http.request('PUT', `${breaking.url}/`, { body: await make() }));
      expect(broken).toBeInstanceOf(UnrewindableBodyError);
      expect(broken).toMatchObject({ cause: expect.any(ProtocolError) });
      expect(breaking.sockets).toHaveLength(1);

      const busy = await peerOf(() => reply(503, '', { 'Retry-After': '3600' }));
      expect(await rejection(http.request('PUT', `${busy.url}/`, { body: await make() }))).toBeInstanceOf(
        UnrewindableBodyError,
      );
      expect(busy.requests).toHaveLength(1);

      // Nor does anybody wait for a hop that cannot be made.
      const later = await peerOf(() => reply(307, '', { Location: '/again', 'Retry-After': '3600' }));
      const unmoved = await rejection(http.request('POST', `${later.url}/`, { body: await make() }));
      expect(unmoved).toBeInstanceOf(UnrewindableBodyError);
    },
  );

  test('request() refuses a stream that another request has sent, before it connects', async () => {
    const peer = await peerOf();
    const other = await peerOf();
    const body = Readable.from([BYTES]);
    await manager().request('POST', peer.url, { body });
    expect(await rejection(manager().request('POST', other.url, { body }))).toBeInstanceOf(UnrewindableBodyError);
    expect(other.sockets).toHaveLength(0);
  });

  test.each(KINDS)('request() does not consume $name by connecting in vain', async ({ make }) => {
    const port = await refusingPort();
    const body = await make();
    let peer: Peer | null = null;
    const http = manager({
      retries: 3,
      async lookup(_host, _options, done) {
        // The port refuses at first, and takes connections when it is asked for again.
        if (lookups++ === 1) peer = await startPeer(() => ok(), { port });
        done(null, '127.0.0.1', 4);
      },
    });
    let lookups = 0;
    const response = await http.request('POST', `http://retry.test:${port}/`, { body });
    expect(response.status).toBe(200);
    const found: Peer = peer ?? expect.fail('no peer was started');
    opened.push(found);
    expect(found.requests[0]?.body.equals(BYTES)).toBe(true);
    expect(lookups).toBe(2);
  });

  test.each(KINDS)('a 303 drops $name, with everything that speaks of it', async ({ make }) => {
    const peer = await peerOf(({ target }) => (target === '/' ? redirectTo('/seen', 303) : ok()));
    const headers = { 'Content-Type': 'x/y', 'Content-Language': 'de', 'X-Kept': '1' };
    await manager({ retries: 3 }).request('POST', `${peer.url}/`, { body: await make(), headers, chunked: true });
    const [, second] = peer.requests;
    expect([second?.method, second?.target, second?.body.length]).toEqual(['GET', '/seen', 0]);
    expect(second?.head).not.toMatch(/^(content-|transfer-encoding)/im);
    expect(second?.field('X-Kept')).toBe('1');
  });
});

describe('request() whose body goes wrong', () => {
  const mistake = new Error('the disk is gone');
  async function* failing(): AsyncGenerator<string> {
    yield 'some ';
    throw mistake;
  }

  test.each<[string, () => RequestBody, Record<string, string>, RegExp]>([
    ['fails mid-way', failing, {}, /^HTTPError: The request body failed: the disk is gone$/],
    [
      'fails mid-way, of a known length',
      failing,
      { 'Content-Length': '10' },
      /The request body failed: the disk is gone/,
    ],
    ['is too short', () => inPieces('abcd'), { 'Content-Length': '5' }, /ended after 4 bytes, and 5 were announced/],
    ['is too long', () => inPieces('abc', 'def'), { 'Content-Length': '5' }, /longer than its announced 5 bytes/],
    ['is a stream that is destroyed', destroyedLater, {}, /The request body failed: Premature close/],
    [
      'gives numbers',
      () => [1, 2][Symbol.iterator]() as unknown as RequestBody,
      {},
      /Cannot send 1 as a chunk of a body/,
    ],
    [
      'is a function that gives nonsense',
      () => (() => 5) as unknown as RequestBody,
      {},
      /Cannot send what the body's function returned, 5/,
    ],
    ['is a file that is not there', () => createReadStream('/no/such/file'), {}, /The request body failed: ENOENT/],
    ['is a file that shrinks', shrinking, {}, /its length was announced as 10 bytes and it gave 4/],
  ])(
    'SEC-022, SEC-124: a body that %s fails its request only, by name, and its socket',
    async (_, make, headers, message) => {
      const peer = await rawPeerOf(async (connection) => {
        if ((await connection.request()).startsWith('GET'))
          connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
      const http = manager({ retries: 3, maxsize: 1, block: true });
      const error = await rejection(http.request('POST', peer.url, { body: make(), headers }));
      expect(String(error)).toMatch(message);
      expect(error instanceof HTTPError || error instanceof TypeError).toBe(true);
      const first = await peer.connection(0);
      await first.closed;
      // Neither the byte too many nor an end that would make a half look like a whole.
      expect(first.received).not.toMatch(/def|\r\n0\r\n\r\n$/);
      expect((await http.request('GET', peer.url, { poolTimeout: 5 })).data.toString()).toBe('ok');
      expect(peer.connections).toHaveLength(2);
      expect((await peer.connection(1)).received).toMatch(/^GET \/ HTTP\/1.1\r\n/);
    },
  );

  test('the error of a body that fails has the source’s own as its cause', async () => {
    const peer = await rawPeerOf(() => {});
    expect(await rejection(manager().request('POST', peer.url, { body: failing() }))).toMatchObject({ cause: mistake });
  });

  function destroyedLater(): Readable {
    const stream = new PassThrough();
    stream.write('some');
    setImmediate(() => stream.destroy());
    return stream;
  }

  /** Ten bytes when it was looked at, four when it is read. */
  function shrinking(): RequestBody {
    const blob = new Blob(['0123456789']);
    const like = { size: 10, type: '', slice: () => new Blob(['0123']), arrayBuffer: () => blob.arrayBuffer() };
    // What it lacks of a Blob, nobody here asks for.
    return { ...like, [Symbol.toStringTag]: 'Blob' } as unknown as Blob;
  }

  test('SEC-026: empty chunks of a body are not sent, so that the request has one end', async () => {
    const peer = await peerOf();
    const body = inPieces('a', Buffer.alloc(0), '', 'b');
    await manager().request('POST', `${peer.url}/`, { body });
    expect(peer.received.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe('1\r\na\r\n1\r\nb\r\n0\r\n\r\n');
  });

  test('SEC-022: a body that never ends after its last announced byte does not hold the response', async () => {
    const peer = await peerOf();
    let isClosed = false;
    async function* endless() {
      try {
        yield 'abcde';
        await new Promise((resolve) => setTimeout(resolve, 30_000).unref());
      } finally {
        isClosed = true;
      }
    }
    const http = manager();
    const response = await http.request('POST', peer.url, { body: endless(), headers: { 'Content-Length': '5' } });
    expect([String(response.data), isClosed]).toEqual(['ok', false]);
    await peer.until(({ openSockets: open }) => open === 0);
  });
});

describe('request() that never sends its body', () => {
  const sources = [
    ['a file stream', () => createReadStream(path), (stream: Readable) => stream.destroyed],
    ['a Readable', () => Readable.from([BYTES]), (stream: Readable) => stream.destroyed],
  ] as const;
  const reasons: readonly (readonly [string, (http: PoolManager, options: RequestOptions) => Promise<unknown>])[] = [
    [
      'nobody listens',
      async (http, options) => http.request('POST', `http://127.0.0.1:${await refusingPort()}/`, options),
    ],
    [
      'the signal is aborted',
      (http, options) => http.request('POST', 'http://127.0.0.1:9/', { ...options, signal: AbortSignal.abort() }),
    ],
    ['the URL cannot be used', (http, options) => http.request('POST', 'ftp://a.test/', options)],
    [
      'the headers cannot be used',
      (http, options) => http.request('POST', 'http://127.0.0.1:9/', { ...options, headers: { 'a b': 'c' } }),
    ],
    [
      'the pool is closed',
      async (http, options) => {
        const pool = http.connectionFromUrl('http://127.0.0.1:9/');
        pool.close();
        return await pool.request('POST', '/', options);
      },
    ],
    [
      'the server answers before',
      (http, options) => expectingFinal(http, options, 'HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n'),
    ],
    [
      'a 303 points elsewhere',
      (http, options) => expectingFinal(http, options, 'HTTP/1.1 303 X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n'),
    ],
    [
      'a redirect points nowhere',
      (http, options) =>
        expectingFinal(http, options, 'HTTP/1.1 307 X\r\nLocation: ftp://a.test/\r\nContent-Length: 0\r\n\r\n'),
    ],
  ];

  async function expectingFinal(http: PoolManager, options: RequestOptions, final: string): Promise<unknown> {
    const peer = await rawPeerOf(async (connection) => {
      const head = await connection.request();
      connection.write(head.startsWith('GET') ? 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' : final);
    });
    return await http.request('POST', peer.url, { ...options, expectContinue: 5, retries: 2 });
  }

  test.each(
    reasons.flatMap(([why, fail]) => sources.map(([what, make, isGone]) => ({ why, what, fail, make, isGone }))),
  )('request() lets $what go when $why', async ({ fail, make, isGone }) => {
    const body = make();
    const closed = once(body, 'close');
    await fail(manager({ retries: 1 }), { body }).catch(() => {});
    expect(isGone(body)).toBe(true);
    await closed;
  });

  test('request() lets the streams in a form go when nobody listens', async () => {
    const file = createReadStream(path);
    const error = await rejection(
      manager({ retries: 1 }).request('POST', `http://127.0.0.1:${await refusingPort()}/`, {
        fields: { f: ['f', file] },
      }),
    );
    expect(error).toBeInstanceOf(MaxRetryError);
    expect(file.destroyed).toBe(true);
  });
});

describe('expectContinue', () => {
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const bodies = KINDS.map((kind) => [kind.name, kind] as const);

  test.each(bodies)('expectContinue sends %s after 100 (Continue), and not before', async (_, { make, hasLength }) => {
    const peer = await rawPeerOf(async (connection) => {
      const head = await connection.request();
      expect(head).toMatch(/\r\nExpect: 100-continue\r\n/);
      // Whatever is on its way would be here when the loop has turned a few times.
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(connection.receivedBytes).toBe(head.length);
      connection.write('HTTP/1.1 100 Continue\r\n\r\n');
      const body = await connection.take(hasLength ? BYTES.length : BYTES.length + 5);
      expect(body.length).toBeGreaterThan(0);
      connection.write(OK);
    });
    const informational: number[] = [];
    const response = await manager().request('POST', peer.url, {
      body: await make(),
      expectContinue: 30,
      onInformational: ({ status }) => void informational.push(status),
    });
    expect([response.status, informational]).toEqual([200, [100]]);
    expect(Buffer.from((await peer.connection(0)).received, 'latin1').includes(HEAD)).toBe(true);
  });

  test.each([417, 401, 413, 200])(
    'M8: expectContinue: a server that answers %d has received no byte of the body, and the connection is not used again',
    async (status) => {
      const peer = await rawPeerOf(async (connection) => {
        await connection.request();
        connection.write(`HTTP/1.1 ${status} X\r\nContent-Length: 5\r\n\r\nfinal`);
      });
      const http = manager();
      const response = await http.request('POST', peer.url, { body: Buffer.alloc(1_000, 'x'), expectContinue: true });
      expect([response.status, response.data.toString()]).toEqual([status, 'final']);
      const connection = await peer.connection(0);
      await connection.closed;
      expect(connection.received.endsWith('\r\n\r\n')).toBe(true);
      expect(connection.received).toContain('Content-Length: 1000\r\n');
      await http.request('POST', peer.url, { body: 'x', expectContinue: true });
      expect(peer.connections).toHaveLength(2);
    },
  );

  test('expectContinue: a server that stays silent gets the body after that time', async () => {
    const peer = await rawPeerOf(async (connection) => {
      await connection.request();
      await connection.take(7);
      connection.write(OK);
    });
    const started = performance.now();
    const response = await manager().request('POST', peer.url, { body: 'content', expectContinue: 0.05 });
    expect(response.status).toBe(200);
    expect(performance.now() - started).toBeGreaterThanOrEqual(45);
    expect((await peer.connection(0)).received.endsWith('\r\n\r\ncontent')).toBe(true);
  });

  test('expectContinue replaces an Expect of the caller’s; without content there is nothing to expect', async () => {
    const seen = await sent({ body: 'x', expectContinue: 0.01, headers: { expect: 'something else' } });
    expect(seen.all('Expect')).toEqual(['100-continue']);
    expect((await sent({ expectContinue: true }, 'GET')).all('Expect')).toEqual([]);
    expect((await sent({ body: '', expectContinue: true })).all('Expect')).toEqual([]);
    expect((await sent({ body: 'x', headers: { expect: '100-continue' } })).all('Expect')).toEqual(['100-continue']);
  });

  test('expectContinue: a 307 before the body sends a one-shot stream to where it points', async () => {
    const target = await peerOf();
    const moving = await rawPeerOf(async (connection) => {
      await connection.request();
      connection.write(`HTTP/1.1 307 X\r\nLocation: ${target.url}/\r\nContent-Length: 0\r\n\r\n`);
    });
    const http = manager({ retries: 3 });
    const response = await http.request('POST', moving.url, { body: Readable.from([BYTES]), expectContinue: 0.05 });
    expect(response.status).toBe(200);
    expect(target.requests[0]?.body.equals(BYTES)).toBe(true);
  });

  test('expectContinue: abort, and a server that leaves, end the wait and leave no timer and no socket', async () => {
    const peer = await rawPeerOf(async (connection) => {
      const head = await connection.request();
      if (head.includes('/leaves')) connection.reset();
    });
    const left = await timersLeftBy(async () => {
      const http = new PoolManager({ retries: false });
      const controller = new AbortController();
      const waiting = http.request('POST', peer.url, { body: 'x', expectContinue: 30, signal: controller.signal });
      await (await peer.connection(0)).request();
      controller.abort(new Error('enough'));
      expect(await rejection(waiting)).toMatchObject({ message: 'enough' });
      const leaving = http.request('POST', `${peer.url}leaves`, { body: 'x', expectContinue: 30 });
      expect(await rejection(leaving)).toBeInstanceOf(ProtocolError);
      http.clear();
    });
    expect(left).toBe(0);
    expect((await peer.connection(0)).received).not.toMatch(/\r\n\r\nx/);
  });
});

describe('onUploadProgress', () => {
  const large = Buffer.alloc(1_000_000, 'x');
  test.each<[string, () => RequestBody, number | null]>([
    ['a small body', () => large.subarray(0, 100), 100],
    ['a large body', () => large, 1_000_000],
    ['a Blob', () => new Blob([large]), 1_000_000],
    ['an async iterable', () => inPieces(large.subarray(0, 300_000), large.subarray(0, 700_000)), null],
  ])('onUploadProgress is told of %s, never less than before, to its end', async (_, make, total) => {
    const told: { transferred: number; total: number | null }[] = [];
    const seen = await sent({ body: make(), onUploadProgress: (progress) => void told.push(progress) });
    const amounts = told.map(({ transferred }) => transferred);
    expect(amounts).toEqual([...amounts].sort((a, b) => a - b));
    expect(told.at(-1)).toEqual({ transferred: seen.body.length, total });
    expect(told.every((progress) => progress.total === total)).toBe(true);
  });

  test('onUploadProgress is told anew for each attempt, and of nothing without a body', async () => {
    const peer = await peerOf(({ target }) => (target === '/' ? redirectTo('/2', 307) : ok()));
    const told: number[] = [];
    const onUploadProgress = ({ transferred }: { transferred: number }) => void told.push(transferred);
    const http = manager({ retries: 3 });
    await http.request('PUT', `${peer.url}/`, { body: 'content', onUploadProgress });
    expect(told).toEqual([7, 7]);
    await http.request('GET', `${peer.url}/2`, { onUploadProgress });
    expect(told).toEqual([7, 7]);
  });

  test.each<[string, () => RequestBody]>([
    ['a small body', () => 'x'],
    ['a large body', () => large],
    ['a stream', () => Readable.from([large, large])],
  ])(
    'onUploadProgress that throws with %s fails the request with its error and leaves no socket and no timer',
    async (_, make) => {
      const peer = await rawPeerOf(() => {});
      const mistake = new Error('a mistake in the callback');
      const left = await timersLeftBy(async () => {
        const http = new PoolManager({ timeout: 10 });
        const onUploadProgress = () => {
          throw mistake;
        };
        expect(await rejection(http.request('PUT', peer.url, { body: make(), onUploadProgress }))).toBe(mistake);
        await (await peer.connection(0)).closed;
        expect(openSockets()).toEqual([]);
      });
      expect(left).toBe(0);
      expect(peer.connections).toHaveLength(1);
    },
  );
});

describe('SEC-046: an answer before the request has been sent', () => {
  test.each([
    [413, true],
    [413, false],
    [200, true],
    [401, false],
  ])(
    'SEC-046 (CVE-2024-24791): %d after 1 KiB of 10 MiB is the response, the rest is not sent, and the connection is closed (preloadContent %s)',
    async (status, preloadContent) => {
      const peer = await rawPeerOf(async (connection) => {
        const head = await connection.request();
        if (head.startsWith('GET')) return connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        await connection.take(1_024);
        connection.socket.pause();
        connection.write(`HTTP/1.1 ${status} X\r\nContent-Length: 8\r\n\r\ntoo much`);
      });
      let given = 0;
      let isClosed = false;
      async function* tenMiB() {
        try {
          for (; given < 10 * 1_048_576; given += 65_536) yield Buffer.alloc(65_536);
        } finally {
          isClosed = true;
        }
      }
      const http = manager({ retries: 3 });
      const response = await http.request('POST', peer.url, { body: tenMiB(), preloadContent });
      expect(response.status).toBe(status);
      expect(String(await response.read())).toBe('too much');
      const first = await peer.connection(0);
      first.socket.resume();
      await first.closed;
      expect(given).toBeLessThan(10 * 1_048_576);
      expect(isClosed).toBe(true);
      expect((await http.request('GET', peer.url)).data.toString()).toBe('ok');
      expect(peer.connections).toHaveLength(2);
    },
  );

  test('SEC-046: a redirect after 1 KiB is followed with the whole body, over another connection', async () => {
    const target = await peerOf();
    const peer = await rawPeerOf(async (connection) => {
      await connection.request();
      await connection.take(1_024);
      connection.socket.pause();
      connection.write(`HTTP/1.1 307 X\r\nLocation: ${target.url}/\r\nContent-Length: 0\r\n\r\n`);
    });
    const large = Buffer.alloc(10 * 1_048_576, 'x');
    const response = await manager({ retries: 3 }).request('POST', peer.url, { body: large });
    expect(response.status).toBe(200);
    expect(target.requests[0]?.body.equals(large)).toBe(true);
    const stream = manager({ retries: 3 }).request('POST', peer.url, { body: Readable.from([large]) });
    expect(await rejection(stream)).toBeInstanceOf(UnrewindableBodyError);
    expect(target.requests).toHaveLength(1);
  });
});
