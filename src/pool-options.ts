/**
 * What a pool may be told, its defaults, and which of it concerns its connections or their TLS.
 *
 * The options of a single connection are in connection.ts, those of a request in request-options.ts.
 */
import { type Auth, type Credentials, resolveAuth } from './auth/credentials.js';
import type { DecodingLimits } from './coding/codings.js';
import { CONNECTION_RULES, type ConnectionOptions } from './connection.js';
import { describe } from './excerpt.js';
import type { HeadersInput } from './headers.js';
import { boolean, checkedElsewhere, positiveInteger, type Rules, secondsOrNull, textOrNull } from './options.js';
import { type ProxyConfig, urlOrNull } from './proxy.js';
import type { CrossOriginHeaders } from './redirect.js';
import { type CallPolicy, LIMIT_RULES, POLICY_DEFAULTS, POLICY_RULES } from './request-options.js';
import type { TlsOptions } from './tls/options.js';
import type { Retries } from './util/retry.js';
import { RetryBudget } from './util/retry-budget.js';
import type { Url } from './util/url.js';

/** The port that each scheme has by default. */
export const portByScheme: Readonly<Record<'http' | 'https', number>> = Object.freeze({ http: 80, https: 443 });

/** What a pool takes beside the options of its connections. */
export interface HTTPConnectionPoolOptions extends ConnectionOptions {
  /**
   * Connections that are kept for later; with `block`, that may be open at all.
   *
   * @defaultValue 100
   */
  readonly maxsize?: number | undefined;
  /** Whether a request waits while `maxsize` connections are in use, in place of opening one more. @defaultValue false */
  readonly block?: boolean | undefined;
  /** Sent with requests that bring no headers of their own. */
  readonly headers?: HeadersInput | null | undefined;
  /** For requests that do not say. @defaultValue Retry.DEFAULT: 3 */
  readonly retries?: Retries | undefined;
  /**
   * Seconds for which an idle connection is kept, less if its server announces less; null until its server closes it.
   *
   * @defaultValue 60
   */
  readonly idleTimeout?: number | null | undefined;
  /**
   * Bytes that content may have at most, with codings taken off; null for no limit.
   *
   * @defaultValue null
   * @throws {@link DecodeError} from the request, or from reading
   */
  readonly maxDecodedSize?: number | null | undefined;
  /**
   * How many times larger decoded content may be than what came, looked at beyond the first MiB; null for no limit.
   *
   * @defaultValue null
   * @throws {@link DecodeError} from the request, or from reading
   */
  readonly maxRatio?: number | null | undefined;
  /**
   * Seconds for everything that a request does, retries and redirects included; null for no such limit. For requests that do
   * not say.
   *
   * @defaultValue null
   * @throws {@link DeadlineExceededError} from the request
   */
  readonly deadline?: number | null | undefined;
  /** What redirects to another origin are sent of the request's fields, for requests that do not say. @defaultValue 'strip' */
  readonly crossOriginHeaders?: CrossOriginHeaders | undefined;
  /**
   * What all retries together may add to the load, shared by all who are given the same budget; null for no such limit.
   *
   * @defaultValue null
   * @throws {@link RetryBudgetExhaustedError} from a request that may not be retried for it
   */
  readonly retryBudget?: RetryBudget | null | undefined;
  /**
   * Who makes the requests that do not say: `{ type: 'basic', username, password }`, and likewise 'digest', 'bearer' (`token`)
   * and 'ntlm'. It is for this pool's host alone.
   *
   * With 'ntlm' the connections are logged in. They serve requests with these credentials only, to this host only
   * (`assertSameHost` counts as true), and resume no TLS session.
   *
   * @defaultValue null: nobody
   * @see docs/authentication.md
   */
  readonly auth?: Auth | Credentials | null | undefined;
  /**
   * A path, or a URL of this pool's host, that is asked for on each new connection before it serves requests, to log it in by
   * the ntlm of `auth`.
   *
   * @internal
   */
  readonly _authurl?: string | null | undefined;
  /**
   * The proxy to go through: a pool over TLS asks it for tunnels to its host; the host of one without TLS is the proxy itself.
   *
   * @internal
   */
  readonly _proxy?: Url | null | undefined;
  /** @internal Fields that are for the proxy alone: in CONNECT, or with each request that it passes on. */
  readonly _proxyHeaders?: HeadersInput | null | undefined;
  /** @internal */
  readonly _proxyConfig?: ProxyConfig | null | undefined;
  /** @internal Whether the host of the pool is the proxy itself, which passes requests on. @defaultValue without TLS, it is */
  readonly _forwards?: boolean | undefined;
}

export interface PoolSettings extends DecodingLimits, CallPolicy {
  readonly maxsize: number;
  readonly block: boolean;
  readonly headers: HeadersInput | null;
  readonly retries: Retries | undefined;
  readonly idleTimeout: number | null;
  readonly retryBudget: RetryBudget | null;
  readonly auth: Credentials | null;
  readonly _authurl: string | null;
  readonly _proxy: Url | null;
  readonly _proxyHeaders: HeadersInput | null;
  readonly _proxyConfig: ProxyConfig | null;
  readonly _forwards: boolean | undefined;
}

export const POOL_RULES: Rules<PoolSettings> = {
  maxsize: positiveInteger,
  block: boolean,
  headers: checkedElsewhere,
  retries: checkedElsewhere,
  idleTimeout: secondsOrNull,
  ...LIMIT_RULES,
  ...POLICY_RULES,
  retryBudget: budgetOrNull,
  auth: resolveAuth,
  _authurl: textOrNull,
  _proxy: urlOrNull,
  _proxyHeaders: checkedElsewhere,
  _proxyConfig: checkedElsewhere,
  _forwards: boolean,
};

export const POOL_DEFAULTS: PoolSettings = Object.freeze({
  maxsize: 100,
  block: false,
  headers: null,
  retries: undefined,
  idleTimeout: 60,
  maxDecodedSize: null,
  maxRatio: null,
  ...POLICY_DEFAULTS,
  retryBudget: null,
  auth: null,
  _authurl: null,
  _proxy: null,
  _proxyHeaders: null,
  _proxyConfig: null,
  _forwards: undefined,
});

/** What a pool of TLS connections takes. */
export interface HTTPSConnectionPoolOptions extends HTTPConnectionPoolOptions, TlsOptions {}

/** What all pools of a manager may have in common: not `auth`, which is for one origin. */
export type ConnectionPoolKw = Omit<HTTPSConnectionPoolOptions, 'auth'>;

/** A pool's options are its own, and those of its connections. */
export function splitOptions(options: HTTPConnectionPoolOptions): {
  pool: Record<string, unknown>;
  connection: Record<string, unknown>;
} {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`Cannot use ${describe(options)} as options of a connection pool: they must be an object`);
  }
  const pool: Record<string, unknown> = Object.create(null);
  const connection: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(options)) {
    (Object.hasOwn(CONNECTION_RULES, name) ? connection : pool)[name] = value;
  }
  return { pool, connection };
}

function budgetOrNull(name: string, value: unknown): RetryBudget | null {
  if (value === null || value instanceof RetryBudget) return value;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a RetryBudget, or null for none`);
}
