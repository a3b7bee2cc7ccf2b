import { expect, test } from 'vitest';
import { DEFAULT_RESPONSE_LIMITS } from '../../src/http1/limits.js';

test('DEFAULT_RESPONSE_LIMITS are the documented ones, and cannot be changed', () => {
  expect(DEFAULT_RESPONSE_LIMITS).toEqual({
    maxHeadBytes: 64 * 1024,
    maxFields: 2000,
    maxInterimResponses: 20,
    maxChunkLineBytes: 4 * 1024,
  });
  expect(Object.isFrozen(DEFAULT_RESPONSE_LIMITS)).toBe(true);
});
