import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { bodySource, NO_BODY, type RequestBody } from '../../../src/body/source.js';
import { AppEnginePlatformError } from '../../../src/contrib/appengine/errors.js';
import { payloadOf } from '../../../src/contrib/appengine/payload.js';
import { UnrewindableBodyError } from '../../../src/exceptions.js';

const LIMIT = 10_485_760;

async function textOf(body: RequestBody): Promise<string | null> {
  const payload = await payloadOf(bodySource(body), null);
  return payload === null ? null : Buffer.from(payload).toString();
}

describe('payloadOf()', () => {
  test.each<[string, RequestBody]>([
    ['text', 'hello'],
    ['bytes', Buffer.from('hello')],
    ['a Blob', new Blob(['hel', 'lo'])],
    ['a stream', Readable.from(['hel', 'lo'])],
    ['a function', () => 'hello'],
    ['an iterable', ['hel', 'lo']],
  ])('reads %s', async (_name, body) => {
    expect(await textOf(body)).toBe('hello');
  });

  test.each<[string, RequestBody]>([
    ['empty text', ''],
    ['no bytes', new Uint8Array(0)],
    ['an empty stream', Readable.from([])],
  ])('takes %s for none', async (_name, body) => {
    expect(await textOf(body)).toBeNull();
  });

  test('has nothing for no body', async () => {
    expect(await payloadOf(NO_BODY, null)).toBeNull();
  });

  test('keeps each chunk, though its source fills the same memory again', async () => {
    const memory = Buffer.alloc(2);
    async function* source(): AsyncGenerator<Buffer> {
      for (const text of ['ab', 'cd']) {
        memory.write(text);
        yield memory;
      }
    }
    expect(await textOf(source())).toBe('abcd');
  });

  test('takes 10485760 bytes, and not one more', async () => {
    expect((await payloadOf(bodySource(Buffer.alloc(LIMIT)), null))?.length).toBe(LIMIT);
    const error = await payloadOf(bodySource(Buffer.alloc(LIMIT + 1)), null).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AppEnginePlatformError);
    expect(String(error)).toContain('URLFetch takes 10485760 bytes');
  });

  test('does not begin to read a body that is known to be too long', async () => {
    const blob = new Blob([Buffer.alloc(LIMIT + 1)]);
    await expect(payloadOf(bodySource(blob), null)).rejects.toBeInstanceOf(AppEnginePlatformError);
  });

  test('stops a stream without end as soon as it is too long, and lets it go', async () => {
    let given = 0;
    const endless = new Readable({
      read() {
        given += 1_000_000;
        this.push(Buffer.alloc(1_000_000));
      },
    });
    await expect(payloadOf(bodySource(endless), null)).rejects.toBeInstanceOf(AppEnginePlatformError);
    expect(endless.destroyed).toBe(true);
    expect(given).toBeLessThan(LIMIT + 3_000_000);
  });

  test('ends with the signal, though the body never does, and lets the body go', async () => {
    const silent = new Readable({ read() {} });
    const controller = new AbortController();
    const reading = payloadOf(bodySource(silent), controller.signal);
    controller.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
    expect(silent.destroyed).toBe(true);
  });

  test('raises what the body raises', async () => {
    async function* failing(): AsyncGenerator<string> {
      yield 'a';
      throw new Error('the disk is gone');
    }
    await expect(textOf(failing())).rejects.toThrow('the disk is gone');
  });

  test('does not read a one-shot body twice', async () => {
    const source = bodySource(Readable.from(['once']));
    await payloadOf(source, null);
    await expect(payloadOf(source, null)).rejects.toBeInstanceOf(UnrewindableBodyError);
  });
});
