import { closeSync, openSync } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { bodySource, type RequestBody } from '../../src/body/source.js';
import { type MakeHeadersOptions, makeHeaders } from '../../src/util/request.js';

async function chunksOf(body: RequestBody): Promise<Buffer[]> {
  const source = bodySource(body);
  if (source.kind !== 'stream') throw new Error(`expected a stream, got ${source.kind}`);
  const chunks: Buffer[] = [];
  for await (const chunk of source.open()) chunks.push(Buffer.from(chunk));
  return chunks;
}

describe('SEC-019 (CVE-2026-15157, CVE-2022-35948): the type of a Blob-like body', () => {
  function blobLike(type: () => unknown): RequestBody {
    const bytes = new Blob(['x']);
    const like = {
      size: 1,
      get type() {
        return type();
      },
      slice: (start: number, end: number) => bytes.slice(start, end),
      arrayBuffer: () => bytes.arrayBuffer(),
      [Symbol.toStringTag]: 'Blob',
    };
    // What it lacks of a Blob, nobody here asks for.
    return like as unknown as Blob;
  }

  test('SEC-019: a type that changes is read once, checked, and kept', () => {
    let reads = 0;
    const source = bodySource(blobLike(() => (reads++ === 0 ? 'a/b' : 'a/b\r\nX: y')));
    expect(source).toMatchObject({ contentType: 'a/b' });
    expect(reads).toBe(1);
  });

  test.each<[string, unknown]>([
    ['CRLF', 'a/b\r\nX: y'],
    ['NUL', 'a\0b'],
    ['beyond ASCII', 'a/\u010d\u010a'],
    ['an object', { toString: () => 'a/b' }],
    ['an array', ['a/b']],
    ['a function', () => 'a/b'],
  ])('SEC-019 (SEC-018): a type with %s is refused', (_, type) => {
    expect(() => bodySource(blobLike(() => type))).toThrow(
      /^Cannot use the type .+ of a Blob: it must be a media type in visible ASCII$/,
    );
  });
});

describe('SEC-022 (CVE-2020-35863): a body is never longer or shorter than announced', () => {
  test.each([
    ['longer', 6],
    ['shorter', 4],
  ])('SEC-022: a Blob-like that gives %s than its size fails, and no byte beyond it comes out', async (_, given) => {
    const bytes = new Blob(['x'.repeat(given)]);
    const lying = {
      size: 5,
      type: '',
      slice: () => bytes,
      arrayBuffer: () => bytes.arrayBuffer(),
      [Symbol.toStringTag]: 'Blob',
    };
    // What it lacks of a Blob, nobody here asks for.
    const source = bodySource(lying as unknown as Blob);
    if (source.kind !== 'stream') throw new Error('expected a stream');
    let sent = 0;
    const sending = (async () => {
      for await (const chunk of source.open()) sent += chunk.length;
    })();
    await expect(sending).rejects.toThrow('its length was announced as 5 bytes');
    expect(sent).toBeLessThanOrEqual(5);
  });

  test('SEC-022: an array that is changed after it was given is sent as it was', () => {
    const chunks = ['a', 'b'];
    const source = bodySource(chunks);
    chunks.push('c');
    expect(source).toMatchObject({ kind: 'bytes', bytes: Buffer.from('ab') });
  });
});

describe('SEC-025: numbers never allocate memory', () => {
  test.each<[string, unknown]>([
    ['a number', 1000],
    ['a boxed number', Object(1000)],
    ['an object with length', { length: 1000 }],
    ['an object with byteLength', { byteLength: 1000 }],
    ['the JSON of a Buffer', Buffer.alloc(3).toJSON()],
  ])('SEC-025: %s as a body is refused', (_, body) => {
    // Callers without types give anything.
    expect(() => bodySource(body as RequestBody)).toThrow(TypeError);
  });

  test.each<[string, unknown[]]>([
    ['a number', [1000]],
    ['a boxed number', [Object(1000)]],
    ['an array of numbers', [[1000]]],
  ])('SEC-025: %s as a chunk is refused', async (_, chunks) => {
    const message = /^Cannot send .+ as a chunk of a body: it must be bytes or a string$/;
    await expect(chunksOf(new Set(chunks) as Set<string>)).rejects.toThrow(message);
    await expect(chunksOf(Readable.from(chunks))).rejects.toThrow(message);
    expect(() => bodySource(chunks as string[])).toThrow(message);
  });

  test('SEC-025: a short read sends what was read, and not the rest of the buffer', async () => {
    const file = {
      fd: openSync(new URL(import.meta.url), 'r'),
      stat() {},
      read: async (buffer: Buffer, _offset: number, _length: number, position: number) => ({
        bytesRead: position === 0 ? buffer.write('abc') : 0,
      }),
    };
    // As far as it goes it is a FileHandle.
    const source = bodySource(file as unknown as RequestBody);
    if (source.kind !== 'stream') throw new Error('expected a stream');
    expect(await source.open()[Symbol.asyncIterator]().next()).toEqual({ done: false, value: Buffer.from('abc') });
    closeSync(file.fd);
  });
});

describe('SEC-026: empty chunks', () => {
  const chunks = ['a', Buffer.alloc(0), '', 'b', new Uint8Array(0)];

  test.each<[string, () => RequestBody]>([
    ['a collection', () => new Set(chunks)],
    ['a Readable', () => Readable.from(chunks)],
    [
      'an async generator',
      async function* () {
        yield* chunks;
      },
    ],
    [
      'a ReadableStream',
      () =>
        new ReadableStream({
          start(controller) {
            for (const chunk of chunks) controller.enqueue(chunk);
            controller.close();
          },
        }),
    ],
  ])('SEC-026: %s that gives empty chunks sends none of them', async (_, make) => {
    expect((await chunksOf(make())).map(String)).toEqual(['a', 'b']);
  });
});

describe('SEC-020 (CVE-2023-29406): what makeHeaders() makes of its options', () => {
  test.each<[MakeHeadersOptions]>([
    [{ userAgent: 'a\r\nX: y' }],
    [{ userAgent: 'a\0' }],
    [{ userAgent: 'a\u010d\u010a' }],
    [{ acceptEncoding: 'gzip\r\nX: y' }],
    [{ acceptEncoding: ['gzip', 'br\nX: y'] }],
    [{ basicAuth: 'user:pass\r\nX: y' }],
    [{ basicAuth: 'us\0er:pass' }],
    [{ proxyBasicAuth: 'user:\u007f' }],
  ])('SEC-020: makeHeaders(%j) is refused', (options) => {
    expect(() => makeHeaders(options)).toThrow(TypeError);
  });

  test('SEC-027: makeHeaders() does not take credentials from a polluted Object.prototype', () => {
    const polluted = ['basicAuth', 'proxyBasicAuth', 'userAgent'];
    try {
      for (const name of polluted) Object.defineProperty(Object.prototype, name, { value: 'a:b', configurable: true });
      expect(makeHeaders({ keepAlive: true })).toEqual({ connection: 'keep-alive' });
    } finally {
      for (const name of polluted) Reflect.deleteProperty(Object.prototype, name);
    }
  });
});
