import { describe, expect, test } from 'vitest';
import { supportedCodings } from '../../src/coding/codings.js';
import { UnrewindableBodyError } from '../../src/exceptions.js';
import {
  type BodyPosition,
  FAILED_TELL,
  type MakeHeadersOptions,
  makeHeaders,
  rewindBody,
  setFilePosition,
} from '../../src/util/request.js';

describe('makeHeaders()', () => {
  test.each<[MakeHeadersOptions | undefined, Record<string, string>]>([
    [undefined, {}],
    [
      { keepAlive: true, userAgent: 'Batman/1.0' },
      { connection: 'keep-alive', 'user-agent': 'Batman/1.0' },
    ],
    [{ acceptEncoding: true }, { 'accept-encoding': supportedCodings().join(',') }],
    [{ acceptEncoding: ['foo', 'bar'] }, { 'accept-encoding': 'foo,bar' }],
    [{ acceptEncoding: 'deflate' }, { 'accept-encoding': 'deflate' }],
    [{ acceptEncoding: false }, {}],
    [{ basicAuth: 'user:pass' }, { authorization: 'Basic dXNlcjpwYXNz' }],
    [{ proxyBasicAuth: 'user:pass' }, { 'proxy-authorization': 'Basic dXNlcjpwYXNz' }],
    [{ basicAuth: 'é:x' }, { authorization: `Basic ${Buffer.from('é:x', 'latin1').toString('base64')}` }],
    [{ basicAuth: 'ł:x' }, { authorization: `Basic ${Buffer.from('ł:x', 'utf8').toString('base64')}` }],
    [{ disableCache: true }, { 'cache-control': 'no-cache' }],
    [
      {
        keepAlive: null,
        acceptEncoding: null,
        userAgent: null,
        basicAuth: null,
        proxyBasicAuth: null,
        disableCache: null,
      },
      {},
    ],
  ])('makeHeaders(%j)', (options, want) => {
    expect(makeHeaders(options)).toEqual(want);
  });

  test('makeHeaders({ acceptEncoding: true }) begins with gzip,deflate,br', () => {
    expect(makeHeaders({ acceptEncoding: true })['accept-encoding']).toMatch(/^gzip,deflate,br(,zstd)?$/);
  });

  test.each([
    ['a userAgent that is no string', { userAgent: 5 }],
    ['an acceptEncoding that is no text', { acceptEncoding: 7 }],
    ['a coding that is no text', { acceptEncoding: ['gzip', 5] }],
    ['a basicAuth that is no string', { basicAuth: ['u', 'p'] }],
  ])('makeHeaders() refuses %s', (_, options) => {
    // Callers without types give anything.
    expect(() => makeHeaders(options as unknown as MakeHeadersOptions)).toThrow(TypeError);
  });

  test('makeHeaders() never shows credentials', () => {
    expect(() => makeHeaders({ basicAuth: 'user:s3cret\n' })).toThrow(
      'Cannot use the basicAuth given: it must be a string "user:password" without control characters',
    );
  });
});

describe('setFilePosition() and rewindBody()', () => {
  test('setFilePosition() records where the body stands', async () => {
    expect(await setFilePosition({ tell: () => 5 })).toBe(5);
    expect(await setFilePosition({ tell: async () => 0 })).toBe(0);
  });

  test('setFilePosition() moves to the position given', async () => {
    const moved: unknown[] = [];
    const body = { at: 'this', seek: (position: number) => moved.push(position) };
    expect(await setFilePosition(body, 3)).toBe(3);
    expect(moved).toEqual([3]);
  });

  test.each([['text'], [null], [undefined], [{}], [{ tell: 5 }]])(
    'setFilePosition() has nothing to record for %j',
    async (body) => {
      expect(await setFilePosition(body)).toBeNull();
    },
  );

  test.each([
    [
      'throws',
      () => {
        throw new Error('pipe');
      },
    ],
    ['rejects', () => Promise.reject(new Error('pipe'))],
    ['gives no position', () => 'x'],
    ['gives a negative one', () => -1],
  ])('setFilePosition() gives FAILED_TELL when tell() %s', async (_, tell) => {
    expect(await setFilePosition({ tell })).toBe(FAILED_TELL);
  });

  test('rewindBody() seeks, with the body as this', async () => {
    const body = {
      position: 9,
      async seek(position: number) {
        this.position = position;
      },
    };
    await rewindBody(body, 2);
    expect(body.position).toBe(2);
  });

  test.each<[string, unknown, BodyPosition]>([
    ['the position could not be recorded', { seek() {} }, FAILED_TELL],
    ['it has no seek()', {}, 0],
    ['it is no object', 'text', 0],
  ])('rewindBody() raises UnrewindableBodyError when %s', async (_, body, position) => {
    await expect(rewindBody(body, position)).rejects.toThrow(UnrewindableBodyError);
  });

  test('rewindBody() keeps the cause when seek() fails', async () => {
    const cause = new Error('ESPIPE');
    const seek = () => Promise.reject(cause);
    const failure = await rewindBody({ seek }, 0).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnrewindableBodyError);
    expect(failure).toMatchObject({ cause });
  });

  test.each([[null], ['5'], [1.5], [-1], [Number.NaN], [{}]])(
    'rewindBody() refuses the position %j with a TypeError',
    async (position) => {
      // Callers without types give anything.
      await expect(rewindBody({ seek() {} }, position as number)).rejects.toThrow(TypeError);
    },
  );
});
