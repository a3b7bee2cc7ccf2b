import { describe, expect, test } from 'vitest';
import { HTTPHeaderDict } from '../src/headers.js';
import { type PoolKey, poolKey } from '../src/pool-key.js';
import type { RequestContext } from '../src/poolmanager.js';
import { Retry } from '../src/util/retry.js';
import { Timeout } from '../src/util/timeout.js';

/** A key of a context that may hold anything. */
function keyOf(options: Record<string, unknown> = {}, scheme = 'http', host = 'a.test'): PoolKey {
  const context: RequestContext = { ...options, scheme, host };
  return poolKey(context);
}

describe('poolKey()', () => {
  const retry = new Retry(3);
  const own = () => {};

  test.each<[string, PoolKey, PoolKey]>([
    ['the case of scheme and host', keyOf({}, 'HTTP', 'A.Test'), keyOf()],
    ['the default port of http', keyOf({ port: 80 }), keyOf()],
    ['the default port of https', keyOf({ port: 443 }, 'https'), keyOf({}, 'https')],
    ['a port that is null', keyOf({ port: null }), keyOf()],
    ['an undefined option', keyOf({ maxsize: undefined }), keyOf()],
    ['the order of options', keyOf({ block: true, maxsize: 1 }), keyOf({ maxsize: 1, block: true })],
    ['an IDNA host and its A-label', keyOf({}, 'http', 'bücher.test'), keyOf({}, 'http', 'xn--bcher-kva.test')],
    ['brackets of IPv6', keyOf({}, 'http', '::1'), keyOf({}, 'http', '[::1]')],
    ['equal bytes', keyOf({ ca: Buffer.from('pem') }), keyOf({ ca: new Uint8Array(Buffer.from('pem')) })],
    ['equal lists', keyOf({ socketOptions: [[6, 1, 1]] }), keyOf({ socketOptions: [[6, 1, 1]] })],
    ['equal objects', keyOf({ headers: { a: '1', b: '2' } }), keyOf({ headers: { b: '2', a: '1' } })],
    ['equal timeouts', keyOf({ timeout: new Timeout({ read: 1 }) }), keyOf({ timeout: new Timeout({ read: 1 }) })],
    [
      'equal header dictionaries',
      keyOf({ headers: new HTTPHeaderDict({ a: '1' }) }),
      keyOf({ headers: new HTTPHeaderDict({ a: '1' }) }),
    ],
    ['the same function', keyOf({ lookup: own }), keyOf({ lookup: own })],
    ['the same Retry', keyOf({ retries: retry }), keyOf({ retries: retry })],
    ['the same symbol', keyOf({ a: Timeout.DEFAULT_TIMEOUT }), keyOf({ a: Timeout.DEFAULT_TIMEOUT })],
  ])('makes no difference of %s', (_name, one, other) => {
    expect(one).toBe(other);
  });

  test.each<[string, PoolKey, PoolKey]>([
    ['scheme', keyOf({}, 'https'), keyOf({}, 'http')],
    ['scheme with one port', keyOf({ port: 443 }, 'https'), keyOf({ port: 443 }, 'http')],
    ['host', keyOf({}, 'http', 'b.test'), keyOf()],
    ['a trailing dot', keyOf({}, 'http', 'a.test.'), keyOf()],
    ['IPv6 zone', keyOf({}, 'http', '[fe80::1%25eth0]'), keyOf({}, 'http', '[fe80::1%25eth1]')],
    ['port', keyOf({ port: 8080 }), keyOf()],
    ['absent and null', keyOf({ timeout: null }), keyOf()],
    ['true and 1', keyOf({ block: true }), keyOf({ block: 1 })],
    ['text and number', keyOf({ a: '1' }), keyOf({ a: 1 })],
    ['text and null', keyOf({ a: 'null' }), keyOf({ a: null })],
    ['number and bigint of another value', keyOf({ a: 1n }), keyOf({ a: 2 })],
    ['delimiters in text', keyOf({ a: 'x","b":"y' }), keyOf({ a: 'x', b: 'y' })],
    ['delimiters in lists', keyOf({ a: ['b,c'] }), keyOf({ a: ['b', 'c'] })],
    ['nesting', keyOf({ a: [['b'], 'c'] }), keyOf({ a: ['b', ['c']] })],
    ['order of a list', keyOf({ a: ['b', 'c'] }), keyOf({ a: ['c', 'b'] })],
    ['letter case of a value', keyOf({ keyPassword: 'Secret' }), keyOf({ keyPassword: 'secret' })],
    ['letter case of a path', keyOf({ caCerts: '/CA.pem' }), keyOf({ caCerts: '/ca.pem' })],
    ['letter case of a name', keyOf({ headers: { A: '1' } }), keyOf({ headers: { a: '1' } })],
    ['bytes', keyOf({ ca: Buffer.from('a') }), keyOf({ ca: Buffer.from('b') })],
    ['bytes and their text', keyOf({ ca: Buffer.from('a') }), keyOf({ ca: 'a' })],
    ['a view of bytes', keyOf({ ca: Buffer.from('abc').subarray(1) }), keyOf({ ca: Buffer.from('abc') })],
    ['functions', keyOf({ lookup: () => {} }), keyOf({ lookup: () => {} })],
    ['identity of objects with a class', keyOf({ a: new URL('http://a') }), keyOf({ a: new URL('http://a') })],
    ['identity of Maps', keyOf({ a: new Map() }), keyOf({ a: new Map() })],
    ['identity of Retry', keyOf({ a: new Retry(1) }), keyOf({ a: new Retry(1) })],
    ['timeouts', keyOf({ timeout: new Timeout({ read: 1 }) }), keyOf({ timeout: new Timeout({ connect: 1 }) })],
    ['a timeout and a number', keyOf({ timeout: new Timeout(1) }), keyOf({ timeout: 1 })],
    [
      'header dictionaries',
      keyOf({ headers: new HTTPHeaderDict({ a: '1' }) }),
      keyOf({ headers: new HTTPHeaderDict({ a: '2' }) }),
    ],
    ['an object and a list', keyOf({ a: {} }), keyOf({ a: [] })],
    ['an object that looks like bytes', keyOf({ a: { bytes: 'YQ==' } }), keyOf({ a: Buffer.from('a') })],
    ['an object that looks like an identity', keyOf({ a: { identity: 1 } }), keyOf({ a: Object.create({}) })],
    ['__proto__ as a name', keyOf({ headers: JSON.parse('{"__proto__": "1"}') }), keyOf({ headers: {} })],
    ['symbols', keyOf({ a: Symbol('a') }), keyOf({ a: Symbol('b') })],
  ])('tells apart: %s', (_name, one, other) => {
    expect(one).not.toBe(other);
  });

  test('takes other schemes, and null-prototype objects', () => {
    expect(keyOf({}, 'local')).toBe(keyOf({ port: null }, 'local'));
    expect(keyOf({ a: Object.assign(Object.create(null), { b: 1 }) })).toBe(keyOf({ a: { b: 1 } }));
    expect(keyOf({ port: 80 }, 'constructor')).not.toBe(keyOf({}, 'constructor'));
  });
});
