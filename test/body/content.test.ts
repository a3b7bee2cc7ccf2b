import { once } from 'node:events';
import { createReadStream, fstatSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, PassThrough, Readable, Stream, Writable } from 'node:stream';
import { afterAll, describe, expect, test } from 'vitest';
import { type BodySource, contentSource, type StreamSource, sequenceSource } from '../../src/body/content.js';
import { UnrewindableBodyError } from '../../src/exceptions.js';

const KIB = 1024;
const folder = mkdtempSync(join(tmpdir(), 'urllib3-content-'));
const path = join(folder, 'file.txt');
writeFileSync(path, 'hello');

afterAll(() => rmSync(folder, { recursive: true }));

function streamed(value: unknown): StreamSource {
  const source = contentSource(value);
  if (source?.kind !== 'stream') throw new Error(`expected a stream, got ${source?.kind}`);
  return source;
}

async function text(source: BodySource): Promise<string> {
  if (source.kind === 'none') return '';
  if (source.kind === 'bytes') return Buffer.from(source.bytes).toString();
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.open()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Begins a sending and reads one chunk of it. */
async function begin(source: StreamSource) {
  const iterator = source.open()[Symbol.asyncIterator]();
  const first = await iterator.next();
  return { first: first.done === true ? null : Buffer.from(first.value).toString(), iterator };
}

function* generate() {
  yield 'a';
  yield Buffer.from('b');
}

async function* generateLater() {
  yield* generate();
}

const reiterable = { [Symbol.iterator]: generate };
const reiterableLater = { [Symbol.asyncIterator]: generateLater };

describe('in memory', () => {
  test.each<[string, unknown, string, string | null]>([
    ['a string', 'hé', 'hé', null],
    ['an empty string', '', '', null],
    ['bytes', Buffer.from('b'), 'b', null],
    ['an ArrayBuffer', Uint8Array.of(0x61).buffer, 'a', null],
    ['a DataView', new DataView(Uint8Array.of(0x61, 0x62).buffer, 1), 'b', null],
    ['URLSearchParams', new URLSearchParams({ a: 'b c' }), 'a=b+c', 'application/x-www-form-urlencoded;charset=UTF-8'],
    ['an array of chunks', ['a', Buffer.from('b'), '', 'c'], 'abc', null],
    ['an array of one chunk', ['a'], 'a', null],
    ['an empty array', [], '', null],
    ['an empty Blob', new Blob([], { type: 'a/b' }), '', 'a/b'],
  ])('contentSource() holds %s as bytes', async (_, value, want, contentType) => {
    const source = contentSource(value);
    expect(source).toMatchObject({ kind: 'bytes', contentType });
    expect(await text(source ?? { kind: 'none' })).toBe(want);
  });

  test('contentSource() sends large arrays without a copy, small neighbours joined, as often as wanted', async () => {
    const large = Buffer.alloc(2 * KIB * KIB, 'x');
    const source = streamed(['a', 'b', large, large, 'c', Buffer.alloc(60 * KIB), Buffer.alloc(60 * KIB)]);
    expect(source).toMatchObject({ length: 2 * large.length + 120 * KIB + 3, contentType: null, replayable: true });
    for (let attempt = 0; attempt < 2; attempt++) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of source.open()) chunks.push(chunk);
      expect(chunks.map((chunk) => chunk.length)).toEqual([2, large.length, large.length, 60 * KIB + 1, 60 * KIB]);
      expect(chunks[1]).toBe(large);
    }
  });

  test('contentSource() refuses an array with an element that is neither bytes nor text, at once', () => {
    expect(() => contentSource(['a', 5])).toThrow(
      new TypeError('Cannot send 5 as a chunk of a body: it must be bytes or a string'),
    );
  });

  test.each<[string, unknown]>([
    ['a number', 5],
    ['a boolean', true],
    ['a BigInt', 5n],
    ['a symbol', Symbol('s')],
    ['null', null],
    ['undefined', undefined],
    ['a plain object', { a: 'b' }],
    ['a Map', new Map([['a', 'b']])],
    ['a Date', new Date(0)],
    ['a promise', Promise.resolve('a')],
    ['a stream that can only be written', new Writable()],
  ])('contentSource() does not know %s', (_, value) => {
    expect(contentSource(value)).toBeUndefined();
  });
});

describe('Blobs', () => {
  test('contentSource() knows the length and type of a Blob, and sends it again', async () => {
    const source = streamed(new Blob(['he', 'llo'], { type: 'text/x' }));
    expect(source).toMatchObject({ length: 5, contentType: 'text/x', replayable: true });
    expect([await text(source), await text(source)]).toEqual(['hello', 'hello']);
  });

  test('contentSource() holds no more than a slice of a large Blob', async () => {
    const sizes: number[] = [];
    for await (const chunk of streamed(new Blob([Buffer.alloc(600 * KIB)])).open()) sizes.push(chunk.length);
    expect(sizes).toEqual([256 * KIB, 256 * KIB, 88 * KIB]);
  });

  test('contentSource() stops in the middle of a Blob', async () => {
    const { iterator } = await begin(streamed(new Blob([Buffer.alloc(600 * KIB)])));
    await iterator.return?.();
    expect(await iterator.next()).toMatchObject({ done: true });
  });

  test('contentSource() takes a Blob of another implementation, and no type as none', async () => {
    const source = streamed(blobLike({ type: '', size: 3 }));
    expect(source).toMatchObject({ length: 3, contentType: null });
    expect(await text(source)).toBe('xyz');
  });

  test.each([[-1], [1.5], [Number.NaN], ['3'], [undefined]])('contentSource() refuses a Blob of size %s', (size) => {
    expect(() => contentSource(blobLike({ type: '', size }))).toThrow(
      /^Cannot send a Blob of size .*: it must be a number of bytes$/,
    );
  });
});

function blobLike(properties: { type: unknown; size: unknown }): object {
  const bytes = new Blob(['xyz']);
  const slice = (start: number, end: number) => bytes.slice(start, end);
  return { ...properties, slice, arrayBuffer: () => bytes.arrayBuffer(), [Symbol.toStringTag]: 'File' };
}

describe('Node streams', () => {
  test('contentSource() sends a Readable once', async () => {
    const readable = Readable.from(['a', Buffer.from('b')]);
    const source = streamed(readable);
    expect(source).toMatchObject({ length: null, contentType: null, replayable: false });
    expect(await text(source)).toBe('ab');
    expect(() => source.open()).toThrow(UnrewindableBodyError);
    expect(() => streamed(readable).open()).toThrow('it is a stream that can be read only once; give a function');
  });

  test('contentSource() destroys a Readable that is left early, also if nothing was read and it hangs', async () => {
    const read = Readable.from(['a', 'b']);
    const { first, iterator } = await begin(streamed(read));
    expect(first).toBe('a');
    await iterator.return?.();
    expect(read.destroyed).toBe(true);

    const unread = new Readable({ read() {} });
    await streamed(unread).open()[Symbol.asyncIterator]().return?.();
    expect(unread.destroyed).toBe(true);

    const hanging = new Readable({ read() {} });
    const waiting = streamed(hanging).open()[Symbol.asyncIterator]();
    const next = waiting.next();
    await waiting.return?.();
    expect(hanging.destroyed).toBe(true);
    expect(await next).toEqual({ done: true, value: undefined });
  });

  test('contentSource() gives on the error of a Readable, during its sending and before', async () => {
    const failure = new Error('disk');
    const failing = new Readable({
      read() {
        this.destroy(failure);
      },
    });
    await expect(text(streamed(failing))).rejects.toBe(failure);

    const missing = createReadStream(join(folder, 'missing'));
    const source = streamed(missing);
    await new Promise((resolve) => missing.once('close', () => resolve(undefined)));
    await expect(text(source)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(text(streamed(new PassThrough().destroy(failure)))).rejects.toBe(failure);
  });

  test('contentSource() fails for a Readable that is destroyed before its end, instead of sending less', async () => {
    const readable = new PassThrough();
    readable.write('a');
    const { iterator } = await begin(streamed(readable));
    readable.destroy();
    await expect(iterator.next()).rejects.toThrow('Premature close');
  });

  test('contentSource() refuses a Readable that is used up', async () => {
    const ended = Readable.from(['a']);
    await ended.toArray();
    expect(() => contentSource(ended)).toThrow(
      'Cannot send the stream: it has already been read to its end or destroyed',
    );
    expect(() => contentSource(new Readable().destroy())).toThrow(TypeError);
  });

  test('discard() destroys a Readable whose sending never began, and only that', async () => {
    const unsent = Readable.from(['a']);
    const source = streamed(unsent);
    source.discard?.();
    expect(unsent.destroyed).toBe(true);
    expect(() => source.open()).toThrow(UnrewindableBodyError);

    const begun = Readable.from(['a', 'b']);
    const sending = streamed(begun);
    await begin(sending);
    sending.discard?.();
    expect(begun.destroyed).toBe(false);
    begun.destroy();
  });

  test('contentSource() takes a Duplex, and the strings of setEncoding()', async () => {
    expect(await text(streamed(Duplex.from(['ä'])))).toBe('ä');
    expect(await text(streamed(Readable.from([Buffer.from('ä')]).setEncoding('utf8')))).toBe('ä');
  });

  test('contentSource() takes a stream that can only be piped', async () => {
    const legacy = legacyStream();
    const source = streamed(legacy);
    legacy.emit('data', 'a');
    const { first, iterator } = await begin(source);
    legacy.emit('data', 'b');
    legacy.emit('end');
    legacy.emit('close');
    expect([first, Buffer.from((await iterator.next()).value).toString()]).toEqual(['a', 'b']);
    expect(await iterator.next()).toMatchObject({ done: true });
  });

  test.each<[string, (legacy: Stream) => void, string]>([
    ['fails', (legacy) => legacy.emit('error', new Error('old')), 'old'],
    ['fails with no Error', (legacy) => legacy.emit('error', 'old text'), 'old text'],
    ['closes before its end', (legacy) => legacy.emit('close'), 'Premature close'],
  ])('contentSource() fails when a stream that can only be piped %s', async (_, break_, message) => {
    const legacy = legacyStream();
    const sent = text(streamed(legacy));
    break_(legacy);
    await expect(sent).rejects.toThrow(message);
  });

  test('contentSource() lets go of a stream that can only be piped', async () => {
    let destroyed = 0;
    const legacy = Object.assign(legacyStream(), { destroy: () => destroyed++ });
    await streamed(legacy).open()[Symbol.asyncIterator]().return?.();
    expect(destroyed).toBe(1);
    streamed(legacyStream()).discard?.();
  });
});

function legacyStream(): Stream {
  return Object.assign(new Stream(), { readable: true });
}

describe('WHATWG streams', () => {
  test('contentSource() sends a ReadableStream once, and releases it', async () => {
    const stream = new Response('hello').body ?? new ReadableStream();
    const source = streamed(stream);
    expect(source).toMatchObject({ length: null, contentType: null, replayable: false });
    expect(await text(source)).toBe('hello');
    expect(stream.locked).toBe(false);
    expect(() => source.open()).toThrow(UnrewindableBodyError);
    expect(() => streamed(stream).open()).toThrow(UnrewindableBodyError);
  });

  test('contentSource() cancels a ReadableStream that is left early, also in the middle of a wait', async () => {
    const { stream, cancelled } = endless();
    const { iterator } = await begin(streamed(stream));
    await iterator.return?.();
    expect(cancelled()).toBe(1);

    const silent = endless({ silent: true });
    const waiting = streamed(silent.stream).open()[Symbol.asyncIterator]();
    const next = waiting.next();
    await waiting.return?.();
    expect(silent.cancelled()).toBe(1);
    expect(await next).toMatchObject({ done: true });
  });

  test('contentSource() gives on the error of a ReadableStream', async () => {
    const failure = new Error('gone');
    const stream = new ReadableStream({ pull: (controller) => controller.error(failure) });
    await expect(text(streamed(stream))).rejects.toBe(failure);
  });

  test('contentSource() refuses a ReadableStream that is locked or was read from', async () => {
    const { stream } = endless();
    const reader = stream.getReader();
    expect(() => contentSource(stream)).toThrow('Cannot send the stream: it is locked to another reader');
    await reader.read();
    reader.releaseLock();
    expect(() => contentSource(stream)).toThrow('Cannot send the stream: it has already been read from or cancelled');
  });

  test('discard() cancels a ReadableStream, whatever it says to that', async () => {
    const { stream, cancelled } = endless();
    streamed(stream).discard?.();
    expect(cancelled()).toBe(1);
    streamed(new ReadableStream({ cancel: () => Promise.reject(new Error('no')) })).discard?.();
  });
});

function endless({ silent = false } = {}) {
  let cancelled = 0;
  const stream = new ReadableStream({
    pull: (controller) => (silent ? undefined : controller.enqueue(Buffer.from('x'))),
    cancel() {
      cancelled++;
    },
  });
  return { stream, cancelled: () => cancelled };
}

describe('iterables', () => {
  test.each<[string, () => object, boolean]>([
    ['a generator', generate, false],
    ['an async generator', generateLater, false],
    ['an async iterable', () => reiterableLater, false],
    ['a Set', () => new Set(['a', 'b']), true],
    ['an iterable', () => reiterable, true],
  ])('contentSource() sends %s', async (_, make, replayable) => {
    const value = make();
    const source = streamed(value);
    expect(source).toMatchObject({ length: null, contentType: null, replayable });
    expect(await text(source)).toBe('ab');
    if (replayable) expect(await text(source)).toBe('ab');
    else expect(() => source.open()).toThrow(UnrewindableBodyError);
  });

  test('contentSource() notices an iterable that hands out its one iterator again', async () => {
    const iterator = generate();
    const source = streamed({ [Symbol.iterator]: () => iterator });
    expect(await text(source)).toBe('ab');
    expect(() => source.open()).toThrow(UnrewindableBodyError);
  });

  test.each([['a generator'], ['an async generator']])(
    'contentSource() returns %s that is left early',
    async (which) => {
      let returned = 0;
      function* sync() {
        try {
          yield 'a';
          yield 'b';
        } finally {
          returned++;
        }
      }
      async function* later() {
        yield* sync();
      }
      const { first, iterator } = await begin(streamed(which === 'a generator' ? sync() : later()));
      expect(first).toBe('a');
      await iterator.return?.();
      expect(returned).toBe(1);
    },
  );

  test('contentSource() can leave an iterator that has no return()', async () => {
    const endlessOnes = { next: () => ({ done: false, value: 'a' }), [Symbol.iterator]: () => endlessOnes };
    const source = streamed(endlessOnes);
    const { iterator } = await begin(source);
    await expect(iterator.return?.()).resolves.toEqual({ done: true, value: undefined });
  });

  test('discard() of an iterable whose sending never began only marks it', () => {
    for (const value of [generate(), generateLater()]) {
      const source = streamed(value);
      source.discard?.();
      expect(() => source.open()).toThrow(UnrewindableBodyError);
    }
  });
});

describe('FileHandles', () => {
  test('contentSource() knows the length of a file, reads it by position and leaves it open', async () => {
    await withFile(path, async (file) => {
      await file.read(Buffer.alloc(2), 0, 2);
      const source = streamed(file);
      expect(source).toMatchObject({ length: 5, contentType: null, replayable: true });
      const halfway = await begin(source);
      await halfway.iterator.return?.();
      expect([await text(source), await text(source)]).toEqual(['hello', 'hello']);
      expect((await file.stat()).size).toBe(5);
    });
  });

  test('contentSource() fails when the file has shrunk, and sends no more when it has grown', async () => {
    const changing = join(folder, 'changing');
    writeFileSync(changing, 'hello');
    await withFile(changing, async (file) => {
      const source = streamed(file);
      writeFileSync(changing, 'hello, world');
      expect(await text(source)).toBe('hello');
      writeFileSync(changing, 'hell');
      await expect(text(source)).rejects.toThrow('announced as 5 bytes and it gave 4');
    });
  });

  test('contentSource() knows an empty file from one that the system makes up', async () => {
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    await withFile(empty, async (file) => {
      const source = streamed(file);
      expect(source.length).toBe(0);
      expect(await text(source)).toBe('');
    });
  });

  test.runIf(process.platform === 'linux')(
    'contentSource() reads a file of /proc to its end, whatever size it says',
    async () => {
      await withFile('/proc/self/status', async (file) => {
        const source = streamed(file);
        expect(source).toMatchObject({ length: null, replayable: true });
        expect(await text(source)).toMatch(/^Name:/);
      });
    },
  );

  test.runIf(process.platform !== 'win32')('contentSource() sends what has no positions once', async () => {
    await withFile('/dev/null', async (file) => {
      const source = streamed(file);
      expect(source).toMatchObject({ length: null, replayable: false });
      expect(await text(source)).toBe('');
      expect(() => source.open()).toThrow(UnrewindableBodyError);
      source.discard?.();
    });
    await withFile('/dev/zero', async (file) => {
      const source = streamed(file);
      source.discard?.();
      expect(() => source.open()).toThrow(UnrewindableBodyError);
    });
  });

  test('contentSource() refuses a closed file', async () => {
    const file = await open(path);
    await file.close();
    expect(() => contentSource(file)).toThrow(new TypeError('Cannot send the file: its FileHandle is closed'));
  });
});

async function withFile(name: string, use: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(name);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}

describe('objects with read()', () => {
  test.each<[string, unknown[], string]>([
    ['text, null at the end', ['a', 'b', null], 'ab'],
    ['bytes, empty ones at the end', [Buffer.from('a'), Buffer.alloc(0)], 'a'],
    ['text, an empty one at the end', ['a', ''], 'a'],
    ['promises, undefined at the end', [Promise.resolve('a'), undefined], 'a'],
    ['an ArrayBuffer', [new ArrayBuffer(0)], ''],
  ])('contentSource() reads %s', async (_, readouts, want) => {
    const asked: number[] = [];
    const object = {
      read(amount: number) {
        asked.push(amount);
        return readouts[asked.length - 1];
      },
    };
    const source = streamed(object);
    expect(source).toMatchObject({ length: null, contentType: null, replayable: false });
    expect(await text(source)).toBe(want);
    expect(asked).toEqual(readouts.map(() => 64 * KIB));
    expect(() => source.open()).toThrow('it is an object with read() but not both tell() and seek()');
  });

  test('contentSource() sends what can tell and seek again, from where it stood', async () => {
    const object = new Memory('hello', 1);
    const source = streamed(object);
    expect(source.replayable).toBe(true);
    await source.open()[Symbol.asyncIterator]().return?.();
    for (let attempt = 0; attempt < 3; attempt++) expect(await text(source)).toBe('ello');
  });

  test('contentSource() can leave an object with read() early and send it again', async () => {
    const source = streamed(new Memory('hello', 0, 2));
    const { first, iterator } = await begin(source);
    await iterator.return?.();
    expect([first, await text(source)]).toEqual(['he', 'hello']);
  });

  test('contentSource() cannot send again what could not tell its position', async () => {
    const source = streamed(Object.assign(new Memory('hello'), { tell: () => Promise.reject(new Error('pipe')) }));
    expect(await text(source)).toBe('hello');
    expect(source.replayable).toBe(false);
    await expect(text(source)).rejects.toThrow(UnrewindableBodyError);
  });

  test('contentSource() passes over iteration where an object can read and seek', async () => {
    const source = streamed(Object.assign(new Memory('hello'), { [Symbol.iterator]: generate }));
    expect([await text(source), await text(source)]).toEqual(['hello', 'hello']);
  });

  test('contentSource() refuses what read() gives if it is neither bytes nor text', async () => {
    await expect(text(streamed({ read: () => 5 }))).rejects.toThrow('Cannot send 5 as a chunk of a body');
  });
});

class Memory {
  readonly #content: string;
  readonly #most: number;
  #position: number;

  constructor(content: string, position = 0, most = 100) {
    this.#content = content;
    this.#position = position;
    this.#most = most;
  }

  read(amount: number): string {
    const start = this.#position;
    this.#position = Math.min(start + Math.min(amount, this.#most), this.#content.length);
    return this.#content.slice(start, this.#position);
  }

  tell(): number | Promise<number> {
    return this.#position;
  }

  seek(position: number): void {
    this.#position = position;
  }
}

describe('functions', () => {
  test.each<[string, () => unknown, string]>([
    ['text', () => 'ab', 'ab'],
    ['a promise of bytes', async () => Buffer.from('ab'), 'ab'],
    ['a stream', () => Readable.from(['a', 'b']), 'ab'],
    ['a generator', generate, 'ab'],
    ['an async generator', generateLater, 'ab'],
    ['nothing in an array', () => [], ''],
  ])('contentSource() asks a function for %s at each attempt', async (_, give, want) => {
    const source = streamed(give);
    expect(source).toMatchObject({ length: null, contentType: null, replayable: true });
    expect([await text(source), await text(source)]).toEqual([want, want]);
  });

  test.each<[string, () => unknown]>([
    ['a number', () => 5],
    ['undefined', () => undefined],
    ['a function', () => () => 'a'],
    ['a FormData', () => new FormData()],
  ])('contentSource() refuses a function that returns %s', async (_, give) => {
    await expect(text(streamed(give))).rejects.toThrow(
      /^Cannot send what the body's function returned, .+: it must return/,
    );
  });

  test('contentSource() refuses a function that returns what is used up', async () => {
    const generator = generate();
    const source = streamed(() => generator);
    expect(await text(source)).toBe('ab');
    await expect(text(source)).rejects.toThrow(UnrewindableBodyError);
  });

  test('contentSource() lets an error of the function pass', async () => {
    const failure = new Error('mine');
    await expect(text(streamed(() => Promise.reject(failure)))).rejects.toBe(failure);
  });

  test('contentSource() destroys what a function gave when it is left early, also if it comes too late', async () => {
    const given = Readable.from(['a', 'b']);
    const { iterator } = await begin(streamed(() => given));
    await iterator.return?.();
    expect(given.destroyed).toBe(true);

    const late = Readable.from(['a']);
    let give: (stream: Readable) => void = () => {};
    const source = streamed(() => new Promise((resolve) => (give = resolve)));
    const waiting = source.open()[Symbol.asyncIterator]();
    const next = waiting.next();
    await waiting.return?.();
    give(late);
    expect(await next).toMatchObject({ done: true });
    expect(late.destroyed).toBe(true);
  });

  test('contentSource() lets go of a function that was never called', async () => {
    let calls = 0;
    await streamed(() => calls++)
      .open()
      [Symbol.asyncIterator]()
      .return?.();
    expect(calls).toBe(0);
  });
});

describe('sequenceSource()', () => {
  const bytes = (value: string): BodySource => ({ kind: 'bytes', bytes: Buffer.from(value), contentType: null });

  test('sequenceSource() is bytes where all are, and skips what is none', () => {
    expect(sequenceSource([bytes('a'), { kind: 'none' }, bytes('b')], 'x/y')).toEqual({
      kind: 'bytes',
      bytes: Buffer.from('ab'),
      contentType: 'x/y',
    });
  });

  test('sequenceSource() knows its length and can be sent again if all can', async () => {
    const source = sequenceSource([bytes('a'), { kind: 'none' }, streamed(new Blob(['bc'])), bytes('d')], 'x/y');
    expect(source).toMatchObject({ kind: 'stream', length: 4, contentType: 'x/y', replayable: true });
    expect([await text(source), await text(source)]).toEqual(['abcd', 'abcd']);
  });

  test('sequenceSource() has no length and is sent once if one is so', async () => {
    const source = sequenceSource([streamed(generate()), bytes('-'), streamed(new Blob(['c']))], 'x/y');
    expect(source).toMatchObject({ kind: 'stream', length: null, replayable: false });
    expect(await text(source)).toBe('ab-c');
    await expect(text(source)).rejects.toThrow('it is a form with a part that can be read only once');
  });

  test('sequenceSource() lets go of the source in its turn and of those to come', async () => {
    const [first, second, third] = [Readable.from(['a', 'b']), Readable.from(['c']), Readable.from(['d'])];
    const source = sequenceSource([streamed(first), bytes('-'), streamed(second)], 'x/y');
    if (source.kind !== 'stream') throw new Error('expected a stream');
    const { iterator } = await begin(source);
    await iterator.return?.();
    expect([first.destroyed, second.destroyed]).toEqual([true, true]);

    const unsent = sequenceSource([streamed(third), streamed(new Blob(['x']))], 'x/y');
    if (unsent.kind === 'stream') unsent.discard?.();
    expect(third.destroyed).toBe(true);
  });
});

test('contentSource() closes the file of a read stream that is left early', async () => {
  const fd = openSync(path, 'r');
  const readable = createReadStream('', { fd });
  const { iterator } = await begin(streamed(readable));
  await iterator.return?.();
  await once(readable, 'close');
  expect(() => fstatSync(fd)).toThrow('EBADF');
});

describe('StreamSource.blob()', () => {
  const part = (value: unknown) => contentSource(value) ?? { kind: 'none' };
  const large = 'x'.repeat(2 * 1024 * KIB);

  test('gives the same bytes as one Blob without a type, of a Blob and of what is joined with Blobs and memory', async () => {
    const blob = new Blob(['of a ', 'blob'], { type: 'text/x-blob' });
    const form = sequenceSource([part('head '), part(blob), part(large), part(new Blob([' tail']))], 'a/b');
    for (const source of [streamed(blob), form]) {
      const same = source.kind === 'stream' ? source.blob?.() : undefined;
      expect([await same?.text(), same?.type]).toEqual([await text(source), '']);
    }
  });

  test('is not there where something is read another way', () => {
    const foreign = { [Symbol.toStringTag]: 'Blob', size: 1, type: '', slice() {}, arrayBuffer() {}, stream() {} };
    const mixed = sequenceSource([part(new Blob(['a'])), part(['b'].values())], 'a/b');
    for (const source of [streamed(foreign), streamed(['a'].values()), mixed])
      expect(source).not.toHaveProperty('blob');
  });
});
