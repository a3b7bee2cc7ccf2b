import { describe, expect, test } from 'vitest';
import {
  AppEnginePlatformError,
  AppEnginePlatformWarning,
  translated,
  URLFetchError,
} from '../../../src/contrib/appengine/errors.js';
import {
  HTTPError,
  HTTPWarning,
  MaxRetryError,
  ProtocolError,
  SSLError,
  TimeoutError,
} from '../../../src/exceptions.js';

const MANAGER = { toString: () => 'AppEngineManager()' };

test('AppEnginePlatformError is an HTTPError and AppEnginePlatformWarning an HTTPWarning, under their names', () => {
  expect(new AppEnginePlatformError('x')).toBeInstanceOf(HTTPError);
  expect(new AppEnginePlatformError('x').name).toBe('AppEnginePlatformError');
  expect(new AppEnginePlatformWarning('x')).toBeInstanceOf(HTTPWarning);
  expect(new AppEnginePlatformWarning('x').name).toBe('AppEnginePlatformWarning');
});

describe('translated()', () => {
  test.each([
    ['urlfetch', 1, 'INVALID_URL', ProtocolError],
    ['urlfetch', 2, 'FETCH_ERROR', ProtocolError],
    ['urlfetch', 3, 'UNSPECIFIED_ERROR', ProtocolError],
    ['urlfetch', 4, 'RESPONSE_TOO_LARGE', AppEnginePlatformError],
    ['urlfetch', 5, 'DEADLINE_EXCEEDED', TimeoutError],
    ['urlfetch', 6, 'SSL_CERTIFICATE_ERROR', SSLError],
    ['urlfetch', 7, 'DNS_ERROR', ProtocolError],
    ['urlfetch', 8, 'CLOSED', ProtocolError],
    ['urlfetch', 9, 'INTERNAL_TRANSIENT_ERROR', ProtocolError],
    ['urlfetch', 10, 'TOO_MANY_REDIRECTS', MaxRetryError],
    ['urlfetch', 11, 'MALFORMED_REPLY', ProtocolError],
    ['urlfetch', 12, 'CONNECTION_ERROR', ProtocolError],
    ['urlfetch', 13, 'PAYLOAD_TOO_LARGE', AppEnginePlatformError],
    ['urlfetch', 0, 'an unknown code', ProtocolError],
    ['urlfetch', 14, 'an unknown code', ProtocolError],
    ['rpc', 0, 'UNKNOWN', ProtocolError],
    ['rpc', 1, 'CALL_NOT_FOUND', AppEnginePlatformError],
    ['rpc', 2, 'PARSE_ERROR', ProtocolError],
    ['rpc', 3, 'SECURITY_VIOLATION', AppEnginePlatformError],
    ['rpc', 4, 'OVER_QUOTA', AppEnginePlatformError],
    ['rpc', 5, 'REQUEST_TOO_LARGE', AppEnginePlatformError],
    ['rpc', 6, 'CAPABILITY_DISABLED', AppEnginePlatformError],
    ['rpc', 7, 'FEATURE_DISABLED', AppEnginePlatformError],
    ['rpc', 8, 'BAD_REQUEST', ProtocolError],
    ['rpc', 9, 'RESPONSE_TOO_LARGE', AppEnginePlatformError],
    ['rpc', 10, 'CANCELLED', ProtocolError],
    ['rpc', 11, 'REPLAY_ERROR', ProtocolError],
    ['rpc', 12, 'DEADLINE_EXCEEDED', TimeoutError],
    ['rpc', -1, 'an unknown code', ProtocolError],
  ] as const)('takes %s error %i, %s, for what it means', (layer, code, name, wanted) => {
    // Texts decide nothing: these two are what the reference goes by.
    const cause = new URLFetchError(layer, code, 'too large: Too many redirects');
    const error = translated(cause, MANAGER, 'http://x/y');
    expect(error.constructor).toBe(wanted);
    expect(error.cause).toBe(cause);
    expect(cause.message).toContain(`failed with ${name} (${code}): "too large: Too many redirects"`);
    expect(cause).toMatchObject({ layer, errorCode: code, detail: 'too large: Too many redirects' });
  });

  test('gives MaxRetryError the manager, the URL and the cause as its reason', () => {
    const cause = new URLFetchError('urlfetch', 10);
    const error = translated(cause, MANAGER, 'http://x/y');
    expect(error).toMatchObject({ pool: MANAGER, url: 'http://x/y', reason: cause });
  });
});

test('URLFetchError shows what the platform says in one line, cut', () => {
  const error = new URLFetchError('urlfetch', 2, `line\nline ${'x'.repeat(1000)}`);
  expect(error.message).toMatch(
    /^URLFetch failed with FETCH_ERROR \(2\): "line\\x0aline x{1,120}"\.\.\. \(1010 characters\)$/,
  );
  expect(new URLFetchError('rpc', 4).message).toBe('The call of URLFetch failed with OVER_QUOTA (4)');
});
