import { expect, test } from 'vitest';
import { bytesOf } from '../../src/body/bytes.js';

test.each([
  ['a Uint8Array', Uint8Array.of(1, 2)],
  ['a Buffer in a pool', Buffer.from([0, 1, 2, 3]).subarray(1, 3)],
  ['an ArrayBuffer', Uint8Array.of(1, 2).buffer],
  ['a DataView of a part', new DataView(Uint8Array.of(0, 1, 2, 3).buffer, 1, 2)],
  ['a Uint16Array', new Uint16Array(Uint8Array.of(1, 2).buffer)],
])('bytesOf() gives the bytes of %s', (_, value) => {
  expect([...(bytesOf(value) ?? [])]).toEqual([1, 2]);
});

test('bytesOf() takes a view of ordinary memory and copies nothing', () => {
  const bytes = Uint8Array.of(1, 2);
  expect(bytesOf(bytes)).toBe(bytes);
  expect(bytesOf(new DataView(bytes.buffer))?.buffer).toBe(bytes.buffer);
});

test('bytesOf() copies memory that another thread can write, or that can change its length', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(2)).fill(7);
  const copy = bytesOf(shared.buffer);
  shared.fill(8);
  expect([...(copy ?? [])]).toEqual([7, 7]);
  // The declarations of this target do not know the second argument (ES2024).
  const resizable: ArrayBuffer = Reflect.construct(ArrayBuffer, [4, { maxByteLength: 8 }]);
  expect(bytesOf(resizable)?.buffer).not.toBe(resizable);
  expect(bytesOf(new Uint8Array(resizable))?.length).toBe(4);
});

test.each([['text'], [3], [null], [undefined], [[1, 2]], [{ byteLength: 3 }]])('bytesOf(%j) is undefined', (value) => {
  expect(bytesOf(value)).toBeUndefined();
});
