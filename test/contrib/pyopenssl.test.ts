import tls from 'node:tls';
import { expect, test } from 'vitest';
import { extractFromUrllib3, injectIntoUrllib3 } from '../../src/contrib/pyopenssl.js';

test('injectIntoUrllib3() and extractFromUrllib3() can be called as in the reference, and leave TLS as it is', () => {
  const { connect, checkServerIdentity, DEFAULT_MIN_VERSION } = tls;
  expect(injectIntoUrllib3()).toBeUndefined();
  expect(extractFromUrllib3()).toBeUndefined();
  expect(tls).toMatchObject({ connect, checkServerIdentity, DEFAULT_MIN_VERSION });
});
