import { expect, test } from 'vitest';
import * as exceptions from '../src/exceptions.js';
import * as urllib3 from '../src/index.js';

test('urllib3 offers the names that the reference offers at its top, and those of 2.x and ours', () => {
  const { exceptions: module, ...names } = urllib3;
  expect(module.HTTPError).toBe(exceptions.HTTPError);
  for (const name of [
    'HTTPConnectionPool',
    'HTTPSConnectionPool',
    'PoolManager',
    'HTTPResponse',
    'Retry',
    'Timeout',
    'connectionFromUrl',
    'disableWarnings',
    'encodeMultipartFormdata',
    'getHost',
    'makeHeaders',
    'HTTPHeaderDict',
    'request',
    'ProxyManager',
    'proxyFromEnvironment',
    'proxyFromUrl',
    'addLogHandler',
    'addStderrLogger',
    'RetryBudget',
    'setLogLevel',
  ]) {
    expect(names, name).toHaveProperty(name, expect.any(Function));
  }
});
