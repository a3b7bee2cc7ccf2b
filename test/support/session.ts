/** A session on a link of its own to a scripted peer, without pool or connection, and the requests that it is given. */
import { type BodySource, bodySource, NO_BODY } from '../../src/body/source.js';
import { type ExchangeRequest, Session } from '../../src/engine/session.js';
import { DEFAULT_RESPONSE_LIMITS } from '../../src/http1/limits.js';
import { dial } from '../../src/transport/dial.js';

export interface Connected extends Disposable {
  readonly session: Session;
  /** What the session told its owner, in order. */
  readonly told: readonly ('idle' | 'closed')[];
}

export async function connected({ port }: { readonly port: number }): Promise<Connected> {
  const told: ('idle' | 'closed')[] = [];
  const owner = { sessionBecameIdle: () => void told.push('idle'), sessionClosed: () => void told.push('closed') };
  const session = new Session(owner, DEFAULT_RESPONSE_LIMITS);
  const socket = await dial({
    host: '127.0.0.1',
    port,
    timeoutMs: null,
    sourceAddress: null,
    socketOptions: [],
    lookup: null,
    signal: null,
    onread: () => session.link.onread(),
  });
  session.link.attach(socket);
  return { session, told, [Symbol.dispose]: () => session.close() };
}

/** A GET that is preloaded and waits five seconds, but for what is given. */
export function get(given: Partial<ExchangeRequest> = {}): ExchangeRequest {
  return {
    method: 'GET',
    target: '/',
    head: 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n',
    body: NO_BODY,
    framing: { kind: 'none' },
    isLast: false,
    preloads: true,
    isDiscardable: null,
    maxContentBytes: null,
    readTimeout: 5,
    deadline: null,
    onInformational: null,
    onUploadProgress: null,
    onDownloadProgress: null,
    expectContinue: null,
    signal: null,
    watcher: null,
    pool: { toString: () => 'a pool' },
    ...given,
  };
}

/** A POST of `body`, chunked unless a length is given. */
export function post(body: BodySource, length: number | null, given: Partial<ExchangeRequest> = {}): ExchangeRequest {
  const field = length === null ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`;
  return get({
    method: 'POST',
    head: `POST / HTTP/1.1\r\nHost: a.test\r\n${field}\r\n\r\n`,
    body,
    framing: length === null ? { kind: 'chunked' } : { kind: 'length', length },
    ...given,
  });
}

/** A body that comes from an iterable, once; `closed` resolves when it is let go before its end. */
export function streamed(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): {
  readonly body: BodySource;
  readonly closed: Promise<void>;
} {
  const iterator = Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  let tellClosed: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    tellClosed = resolve;
  });
  const watched: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => watched,
    next: async () => iterator.next(),
    return: async () => {
      tellClosed();
      return { done: true, value: undefined };
    },
  };
  return { body: bodySource(watched), closed };
}
