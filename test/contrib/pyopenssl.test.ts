import { expect, test } from 'vitest';
import { extractFromUrllib3, injectIntoUrllib3 } from '../../src/contrib/pyopenssl.js';
import { PoolManager } from '../../src/poolmanager.js';

test('injectIntoUrllib3() and extractFromUrllib3() change nothing: classes and defaults stay what they are', () => {
  const before = new PoolManager().connectionFromUrl('https://a.test');
  expect(injectIntoUrllib3()).toBeUndefined();
  const injected = new PoolManager().connectionFromUrl('https://a.test');
  expect(extractFromUrllib3()).toBeUndefined();
  expect(injected.ConnectionCls).toBe(before.ConnectionCls);
});
