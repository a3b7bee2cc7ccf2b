/**
 * The key under which a manager keeps a pool: everything that changes how its connections behave, as one text.
 *
 * Two contexts have the same key exactly if their connections are exchangeable. So the text names each option and the type
 * of its value, escapes what would be a delimiter, takes bytes by content, lists by order, and things that have no text
 * (functions, contexts) by identity. Only the letter case of scheme and host, and a port that is the scheme's own, make no
 * difference; letter case anywhere else does.
 *
 * The text holds secrets (credentials of a proxy, the passphrase of a key), and keys are seen by whoever prints a manager. So
 * the key is the text's digest under a key of this process: equal exactly if the texts are, and telling nothing of them.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { SchemeCredentials } from './auth/credentials.js';
import { connectHost } from './connection.js';
import { HTTPHeaderDict } from './headers.js';
import { portByScheme } from './pool-options.js';
import { Retry } from './util/retry.js';
import { Timeout } from './util/timeout.js';
import { Url } from './util/url.js';

declare const poolKeyBrand: unique symbol;

/** A key as {@link poolKey} makes it. */
export type PoolKey = string & { readonly [poolKeyBrand]: true };

const SECRET = randomBytes(32);

const identities = new WeakMap<object, number>();
let lastIdentity = 0;

/** The key for the context of a request. */
export function poolKey(context: { readonly scheme: string; readonly host: string }): PoolKey {
  const { scheme, host, ...rest } = context;
  const name = scheme.toLowerCase();
  const options: Record<string, unknown> = { ...rest };
  options.port ??= Object.hasOwn(portByScheme, name) ? portByScheme[name as keyof typeof portByScheme] : null;
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([name, connectHost(host), entries.map(([option, value]) => [option, keyPart(value)])]);
  // The only place where the brand is given.
  return createHmac('sha256', SECRET).update(text).digest('base64') as PoolKey;
}

/** A value as something that JSON keeps apart from every different value. */
function keyPart(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return value;
    case 'boolean':
      return { boolean: value };
    case 'number':
    case 'bigint':
      return { number: String(value) };
    case 'symbol':
      return { symbol: String(value) };
    case 'function':
      return { identity: identityOf(value) };
    default:
      return value === null || value === undefined ? null : objectPart(value);
  }
}

function objectPart(value: object): unknown {
  if (ArrayBuffer.isView(value)) {
    return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') };
  }
  if (Array.isArray(value)) return { list: value.map(keyPart) };
  if (value instanceof HTTPHeaderDict) return { fields: [...value.iteritems()] };
  if (value instanceof Timeout) return { timeout: [value.total, value.connect, value.read].map(keyPart) };
  if (value instanceof Url) return { url: [...value] };
  if (value instanceof SchemeCredentials) return { credentials: value.key };
  if (value instanceof Retry) return { identity: identityOf(value) };
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return { identity: identityOf(value) };
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return { object: entries.map(([name, part]) => [name, keyPart(part)]) };
}

function identityOf(value: object): number {
  let identity = identities.get(value);
  if (identity === undefined) {
    identity = ++lastIdentity;
    identities.set(value, identity);
  }
  return identity;
}
