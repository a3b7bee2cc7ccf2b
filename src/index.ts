/**
 * urllib3 for Node.js: what most users need, by name. Every module of the reference is a subpath as well
 * (`urllib3/poolmanager`, `urllib3/util/retry`, ...). For users only: nothing inside imports it.
 */
export type { AuthByOrigin } from './auth/by-origin.js';
export type { Auth, TokenRequest } from './auth/credentials.js';
export { connectionFromUrl, HTTPConnectionPool, HTTPSConnectionPool } from './connectionpool.js';
export * as exceptions from './exceptions.js';
export { encodeMultipartFormdata } from './filepost.js';
export { HTTPHeaderDict } from './headers.js';
export {
  addLogHandler,
  addStderrLogger,
  type LogHandler,
  type LogLevel,
  type LogRecord,
  setLogLevel,
} from './logging.js';
export { PoolManager, ProxyManager, proxyFromEnvironment, proxyFromUrl } from './poolmanager.js';
export { HTTPResponse } from './response.js';
export { request } from './top-level.js';
export { makeHeaders } from './util/request.js';
export { Retry } from './util/retry.js';
export { RetryBudget } from './util/retry-budget.js';
export { Timeout } from './util/timeout.js';
export { getHost } from './util/url.js';
export { VERSION } from './version.js';
export { disableWarnings } from './warnings.js';
