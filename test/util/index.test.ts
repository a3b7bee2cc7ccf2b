import { expect, test } from 'vitest';
import * as util from '../../src/util/index.js';

test('urllib3/util offers the names that the reference offers there', () => {
  for (const name of [
    'Retry',
    'Timeout',
    'Url',
    'currentTime',
    'getHost',
    'isConnectionDropped',
    'makeHeaders',
    'parseUrl',
    'resolveCertReqs',
    'splitFirst',
    'waitForRead',
    'waitForWrite',
  ]) {
    expect(util, name).toHaveProperty(name, expect.any(Function));
  }
  expect(util).toMatchObject({
    CERT_NONE: expect.anything(),
    CERT_OPTIONAL: expect.anything(),
    CERT_REQUIRED: expect.anything(),
  });
});
