import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { describe, expect, test } from 'vitest';
import { discardable, judge, mustRetry } from '../src/attempt.js';
import { NO_BODY } from '../src/body/source.js';
import { ExchangeFailure } from '../src/engine/session.js';
import {
  DecodeError,
  EmptyPoolError,
  HTTPError,
  LocationParseError,
  MaxRetryError,
  ProtocolError,
  ReadTimeoutError,
} from '../src/exceptions.js';
import type { Message } from '../src/message.js';
import { PoolManager } from '../src/poolmanager.js';
import { resolveUrlopenOptions } from '../src/request-options.js';
import { HTTPResponse } from '../src/response.js';
import { Retry } from '../src/util/retry.js';
import { Timeout } from '../src/util/timeout.js';

const pool = { toString: () => 'a pool' };

function message(method: string, body: Message['body'] = NO_BODY): Message {
  return {
    method,
    target: '/',
    url: 'http://a.test/',
    host: 'a.test',
    lines: [],
    body,
    head: '',
    framing: { kind: 'none' },
  };
}

const oneShot: Message['body'] = {
  kind: 'stream',
  length: null,
  contentType: null,
  replayable: false,
  assertUnspent() {},
  open: () => [new Uint8Array(1)].values() as never,
};

describe('judge()', () => {
  const broken = new ProtocolError('Connection aborted.');
  const late = new ReadTimeoutError(pool, '/', 'Read timed out.');
  test.each([
    [
      'a GET on a reused connection that died unanswered moves',
      'GET',
      true,
      broken,
      'request-sent',
      'stale-connection',
    ],
    ['a GET on a fresh connection has failed', 'GET', false, broken, 'request-sent', 'failed'],
    ['a GET that was being answered has failed', 'GET', true, broken, 'response-began', 'failed'],
    ['a POST has failed, for it may have been heard', 'POST', true, broken, 'request-sent', 'failed'],
    ['a GET that timed out has failed, for the server lives', 'GET', true, late, 'request-sent', 'failed'],
  ] as const)('%s', (_name, method, wasReused, error, reached, kind) => {
    expect(judge(new ExchangeFailure(error, reached), message(method), wasReused).kind).toBe(kind);
  });

  test('a body that can be sent only once is not moved', () => {
    expect(judge(new ExchangeFailure(broken, 'request-sent'), message('PUT', oneShot), true).kind).toBe('failed');
  });

  test("raises what is the caller's doing, and what another attempt does not mend", () => {
    const reason = { anything: true };
    const raised = [
      [new ExchangeFailure(reason, 'request-sent', true), reason],
      [new ExchangeFailure(new TypeError('of the caller'), 'request-sent'), new TypeError('of the caller')],
      ...[
        new EmptyPoolError(pool, 'none'),
        new LocationParseError('x'),
        new DecodeError('bad'),
        new RangeError('a bug'),
      ].map((error) => [error, error] as const),
    ] as const;
    for (const [failure, expected] of raised) {
      const judged = () => judge(failure, message('GET'), true);
      try {
        judged();
        expect.unreachable();
      } catch (error) {
        expect(error).toStrictEqual(expected);
      }
    }
    expect(judge(new HTTPError('other'), message('GET'), true).kind).toBe('failed');
  });
});

describe('mustRetry()', () => {
  test.each([
    [503, { 'Retry-After': '1' }, {}, true],
    [503, {}, {}, false],
    [200, { 'Retry-After': '1' }, {}, false],
    [500, {}, { statusForcelist: [500] }, true],
  ])('%i with %j and %j: %s', (status, headers, options, expected) => {
    const response = new HTTPResponse({ status, headers });
    expect(mustRetry(message('GET'), response, new Retry(3, options))).toBe(expected);
  });
});

describe('discardable()', () => {
  test('tells the statuses after which another request follows', () => {
    const statuses = [200, 302, 304, 413, 429, 500, 503];
    const told = (options: object, retries = Retry.DEFAULT) =>
      statuses.filter(discardable(resolveUrlopenOptions(options), retries));
    expect(told({})).toEqual([302, 413, 429, 503]);
    expect(told({ redirect: false })).toEqual([413, 429, 503]);
    expect(told({}, new Retry(3, { statusForcelist: [500] }))).toEqual([302, 413, 429, 500, 503]);
    expect(told({ enforceContentLength: false })).toEqual(statuses);
  });
});

describe('SEC-112 (CVE-2018-12122): a total timeout bounds content that drips for ever', () => {
  test.each([
    ['of a 503', 'HTTP/1.1 503 Busy', {}],
    ['of a redirect that is not followed', 'HTTP/1.1 302 Found', {}],
    ['read without its length', 'HTTP/1.1 200 OK', { enforceContentLength: false }],
  ])('%s', async (_name, statusLine, options) => {
    const server = net.createServer((socket) => {
      const drip = setInterval(() => socket.write('x'), 20);
      socket.on('error', () => {});
      socket.on('close', () => clearInterval(drip));
      socket.once('data', () => socket.write(`${statusLine}\r\nContent-Length: 1000000\r\n\r\n`));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await using http = new PoolManager({ timeout: new Timeout({ total: 0.25 }), retries: 0 });
    const failing = http.request('GET', `http://127.0.0.1:${port}/`, options);
    const error = await failing.then(
      () => null,
      (raised: unknown) => raised,
    );
    expect(error).toBeInstanceOf(MaxRetryError);
    expect((error as MaxRetryError).reason).toBeInstanceOf(ReadTimeoutError);
    // Answers once no connection is open any more.
    await new Promise((resolve) => server.close(resolve));
  });
});
