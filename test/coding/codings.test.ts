import zlib from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { contentCodings, supportedCodings } from '../../src/coding/codings.js';
import { DecodeError } from '../../src/exceptions.js';

describe('contentCodings()', () => {
  test.each([
    { value: undefined, want: [] },
    { value: '', want: [] },
    { value: 'identity', want: [] },
    { value: 'gzip', want: ['gzip'] },
    { value: 'GZip', want: ['gzip'] },
    { value: ' \tgzip\t ', want: ['gzip'] },
    { value: 'x-gzip', want: ['gzip'] },
    { value: 'deflate', want: ['deflate'] },
    { value: 'BR', want: ['br'] },
    { value: 'zstd', want: ['zstd'] },
    { value: 'deflate, gzip', want: ['gzip', 'deflate'] },
    { value: 'gzip,, identity,br', want: ['br', 'gzip'] },
    { value: 'gzip,gzip,gzip,gzip,gzip', want: ['gzip', 'gzip', 'gzip', 'gzip', 'gzip'] },
  ])('reads $value, the last coding first', ({ value, want }) => {
    expect(contentCodings(value)).toEqual(want);
  });

  test.each([
    'compress',
    'utf-8',
    'gzip, sdch',
    'sdch, gzip',
    'gzip;q=1',
    'gz ip',
    '\u00a0gzip',
    '\ufeffgzip',
    'gzıp',
    'toString',
  ])('knows nothing of %j, and then of none in the list', (value) => {
    expect(contentCodings(value)).toBe(null);
  });
});

test('supportedCodings() lists zstd only where Node itself has it', () => {
  const zstd = 'zstdDecompressSync' in zlib ? ['zstd'] : [];
  expect(supportedCodings()).toEqual(['gzip', 'deflate', 'br', ...zstd]);
});

test.each([
  ['gzip, gzip, gzip, gzip, gzip, gzip'],
  ['identity,identity,identity,identity,identity,gzip'],
  [',,,,,gzip'],
  ['a,b,c,d,e,f'],
  [Array(30_000).fill('gzip').join(',')],
])(
  'SEC-101 (CVE-2025-66418, CVE-2022-32206): contentCodings() refuses a list of more than five, whatever its members are',
  (value) => {
    expect(() => contentCodings(value)).toThrow(DecodeError);
    expect(() => contentCodings(value)).toThrow('Cannot decode content of more than 5 content codings');
  },
);
