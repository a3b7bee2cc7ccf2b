import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Puller, Sending } from '../../src/body/sending.js';
import { HTTPError } from '../../src/exceptions.js';

class ListPuller implements Puller {
  readonly chunks: unknown[];
  closed = 0;

  constructor(chunks: readonly unknown[]) {
    this.chunks = [...chunks];
  }

  pull(): IteratorResult<unknown> {
    return this.chunks.length === 0 ? { done: true, value: undefined } : { done: false, value: this.chunks.shift() };
  }

  close(): void {
    this.closed++;
  }
}

async function collect(sending: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of sending) chunks.push(Buffer.from(chunk));
  return chunks;
}

describe('chunks', () => {
  test('Sending gives bytes of every kind, and text as UTF-8', async () => {
    const chunks = ['ä', Uint8Array.of(1), Uint8Array.of(2).buffer, new DataView(Uint8Array.of(3).buffer)];
    expect(Buffer.concat(await collect(new Sending(new ListPuller(chunks), null)))).toEqual(
      Buffer.from([0xc3, 0xa4, 1, 2, 3]),
    );
  });

  test('Sending drops empty chunks of every kind', async () => {
    const chunks = ['', new Uint8Array(0), 'a', '', new ArrayBuffer(0), 'b', ''];
    expect((await collect(new Sending(new ListPuller(chunks), null))).map(String)).toEqual(['a', 'b']);
  });

  test.each([[5], [null], [undefined], [true], [{}], [['a']], [Symbol('s')], [() => 'a']])(
    'Sending refuses a chunk that is neither bytes nor text, names it and lets the source go: %s',
    async (chunk) => {
      const puller = new ListPuller(['a', chunk, 'b']);
      const sending = new Sending(puller, null);
      await sending.next();
      await expect(sending.next()).rejects.toThrow(
        /^Cannot send .+ as a chunk of a body: it must be bytes or a string$/,
      );
      expect(puller.closed).toBe(1);
      expect(await sending.next()).toEqual({ done: true, value: undefined });
    },
  );

  test('Sending joins a surrogate pair that two chunks of text cut', async () => {
    const cut = ['x\ud83d', '', '\ude00y'];
    expect(Buffer.concat(await collect(new Sending(new ListPuller(cut), null))).toString()).toBe('x😀y');
  });

  test.each([
    ['the end', ['\ud83d'], '\ufffd'],
    ['bytes', ['a\ud83d', Buffer.from('b')], 'a\ufffdb'],
    ['other text', ['\ud83d', 'b'], '\ufffdb'],
    ['another half', ['\ud83d', '\ud83d', '\ude00'], '\ufffd😀'],
  ])('Sending gives U+FFFD for half a pair that is followed by %s', async (_, chunks, want) => {
    expect(Buffer.concat(await collect(new Sending(new ListPuller(chunks), null))).toString()).toBe(want);
  });

  test('Sending gives the same bytes wherever the text is cut', () =>
    fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom('a', 'é', '😀', '\ud83d', '\ude00') }),
        fc.array(fc.nat(20)),
        async (text, cuts) => {
          const chunks: string[] = [];
          let rest = text;
          for (const cut of cuts) {
            chunks.push(rest.slice(0, cut));
            rest = rest.slice(cut);
          }
          const sent = Buffer.concat(await collect(new Sending(new ListPuller([...chunks, rest]), null)));
          expect(sent.toString()).toBe(Buffer.from(text).toString());
        },
      ),
    ));
});

describe('length', () => {
  test('Sending gives what was announced', async () => {
    expect((await collect(new Sending(new ListPuller(['abc', 'de']), 5))).map(String)).toEqual(['abc', 'de']);
  });

  test('Sending never gives the chunk that goes beyond the length', async () => {
    const puller = new ListPuller(['abc', 'def']);
    const sending = new Sending(puller, 5);
    expect(await sending.next()).toEqual({ done: false, value: Buffer.from('abc') });
    const failure = await sending.next().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(HTTPError);
    expect(String(failure)).toContain('its length was announced as 5 bytes and it gave more');
    expect(puller.closed).toBe(1);
  });

  test('Sending fails at the end of a body that is too short', async () => {
    await expect(collect(new Sending(new ListPuller(['abcd']), 5))).rejects.toThrow(
      'announced as 5 bytes and it gave 4',
    );
  });
});

describe('leaving', () => {
  test('return() closes the source once, also when nothing was read', async () => {
    const puller = new ListPuller(['a']);
    const sending = new Sending(puller, null);
    await sending.return();
    await sending.return();
    expect(puller.closed).toBe(1);
    expect(await sending.next()).toEqual({ done: true, value: undefined });
    expect(puller.chunks).toEqual(['a']);
  });

  test('return() closes nothing after the end', async () => {
    const puller = new ListPuller([]);
    const sending = new Sending(puller, null);
    await sending.next();
    await sending.return();
    expect(puller.closed).toBe(0);
  });

  test.each([['gives'], ['fails']])(
    'return() does not wait for a source that is waiting, which later %s',
    async (then) => {
      const { promise, settle } = waiting();
      let closed = false;
      const close = () => {
        closed = true;
      };
      const sending = new Sending({ pull: () => promise, close }, null);
      const next = sending.next();
      await sending.return();
      expect(closed).toBe(true);
      settle(then === 'gives');
      expect(await next).toEqual({ done: true, value: undefined });
    },
  );

  test('return() does not reject when the source fails to clean up', async () => {
    const close = () => {
      throw new Error('disk');
    };
    const sending = new Sending({ pull: () => ({ done: false, value: 'a' }), close }, null);
    await expect(sending.return()).resolves.toEqual({ done: true, value: undefined });
  });

  test('an error of the source reaches the reader as it is', async () => {
    const failure = new Error('source');
    const sending = new Sending({ pull: () => Promise.reject(failure), close() {} }, null);
    await expect(sending.next()).rejects.toBe(failure);
  });
});

function waiting() {
  let settle: (ok: boolean) => void = () => {};
  const promise = new Promise<IteratorResult<unknown>>((resolve, reject) => {
    settle = (ok) => (ok ? resolve({ done: false, value: 'late' }) : reject(new Error('late')));
  });
  return { promise, settle: (ok: boolean) => settle(ok) };
}
