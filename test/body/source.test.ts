import { open } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { bodySource, NO_BODY, type RequestBody } from '../../src/body/source.js';
import { FAILED_TELL } from '../../src/util/request.js';

test('bodySource() has no body for null and undefined', () => {
  expect([bodySource(null), bodySource(undefined)]).toEqual([NO_BODY, NO_BODY]);
  expect(NO_BODY).toEqual({ kind: 'none' });
});

test('bodySource() takes content of a kind that content.ts knows', () => {
  expect(bodySource('ä')).toEqual({ kind: 'bytes', bytes: Buffer.from([0xc3, 0xa4]), contentType: null });
});

test('bodySource() makes a multipart form of FormData, which another implementation reads back', async () => {
  const form = new FormData();
  form.append('a', 'x\ny');
  form.append('f', new File(['data'], 'ä".txt', { type: 'text/x' }));
  form.append('b', new Blob(['blob']));
  const source = bodySource(form);
  if (source.kind !== 'stream') throw new Error('expected a stream');
  expect(source).toMatchObject({
    replayable: true,
    contentType: expect.stringMatching(/^multipart\/form-data; boundary=/),
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.open()) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  expect(bytes.length).toBe(source.length);
  const read = await new Response(bytes, { headers: { 'content-type': source.contentType ?? '' } }).formData();
  expect(read.get('a')).toBe('x\ny');
  const [file, blob] = [read.get('f'), read.get('b')];
  if (!(file instanceof File && blob instanceof File)) throw new Error('expected files');
  expect([file.name, file.type, await file.text()]).toEqual(['ä".txt', 'text/x', 'data']);
  expect([blob.name, blob.type, await blob.text()]).toEqual(['blob', 'application/octet-stream', 'blob']);
});

test.each<[unknown, string]>([
  [5, '5'],
  [Number.NaN, 'NaN'],
  [true, 'true'],
  [{ a: 1 }, 'an object (Object)'],
  [new Map(), 'an object (Map)'],
  [new Headers(), 'an object (Headers)'],
  [Promise.resolve(''), 'an object (Promise)'],
])('bodySource() refuses %s, and says what a body can be', (body, shown) => {
  // Callers without types give anything.
  expect(() => bodySource(body as RequestBody)).toThrow(
    new TypeError(
      `Cannot send ${shown} as a body: it must be a string, bytes, a Blob, FormData, URLSearchParams, a stream, an iterable of bytes or strings, a FileHandle, an object with read() or a function that returns one of these`,
    ),
  );
});

test('bodySource() begins a file-like body at bodyPos, at the first attempt and later', async () => {
  const moves: number[] = [];
  const body = {
    left: 1,
    read() {
      return this.left-- > 0 ? 'x' : null;
    },
    seek(position: number) {
      moves.push(position);
      this.left = 1;
    },
  };
  const source = bodySource(body, { bodyPos: 7 });
  if (source.kind !== 'stream') throw new Error('expected a stream');
  expect(source.replayable).toBe(true);
  for (let attempt = 0; attempt < 2; attempt++) for await (const chunk of source.open()) expect(chunk).toHaveLength(1);
  expect(moves).toEqual([7, 7]);
});

test('bodySource() sends a file from bodyPos', async () => {
  const file = await open(new URL(import.meta.url));
  try {
    const { size } = await file.stat();
    expect(bodySource(file, { bodyPos: size - 3 })).toMatchObject({ kind: 'stream', length: 3 });
    expect(bodySource(file, { bodyPos: size + 3 })).toMatchObject({ kind: 'stream', length: 0 });
    expect(bodySource(file, { bodyPos: null })).toMatchObject({ kind: 'stream', length: size });
  } finally {
    await file.close();
  }
});

test('bodySource() with FAILED_TELL cannot be sent', async () => {
  const source = bodySource({ read: () => null, seek() {} }, { bodyPos: FAILED_TELL });
  if (source.kind !== 'stream') throw new Error('expected a stream');
  expect(source.replayable).toBe(false);
  await expect(source.open()[Symbol.asyncIterator]().next()).rejects.toThrow('Unable to record the position');
});

test.each<[string, RequestBody, unknown, string]>([
  ['a position that is negative', { read: () => null, seek() {} }, -1, 'bodyPos must be an integer >= 0'],
  ['a position that is no number', { read: () => null, seek() {} }, '0', 'bodyPos must be an integer >= 0'],
  ['a position in a string', 'text', 0, 'bodyPos is for a FileHandle or an object with read() and seek()'],
  ['a position in what cannot seek', { read: () => null }, 0, 'bodyPos is for a FileHandle'],
])('bodySource() refuses %s', (_, body, bodyPos, message) => {
  // Callers without types give anything.
  expect(() => bodySource(body, { bodyPos: bodyPos as number })).toThrow(TypeError);
  expect(() => bodySource(body, { bodyPos: bodyPos as number })).toThrow(message);
});
