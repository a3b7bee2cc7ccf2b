import { expect, test } from 'vitest';
import { finalStatus, Refusal, seconds, wholeNumber } from '../../src/testing/refusal.js';

test('wholeNumber() reads digits only', () => {
  expect(wholeNumber('007', 'n')).toBe(7);
  for (const text of ['', '-1', '1.5', '1e3', ' 1', 'x']) {
    expect(() => wholeNumber(text, 'n')).toThrow(new Refusal(400, `n must be a whole number >= 0, not "${text}"`));
  }
});

test('seconds() reads decimals', () => {
  for (const [text, want] of [
    ['0', 0],
    ['1.5', 1.5],
    ['.25', 0.25],
    ['2.', 2],
  ] as const)
    expect(seconds(text, 'd')).toBe(want);
  for (const text of ['', '.', '-1', '1e3', 'NaN', 'Infinity']) expect(() => seconds(text, 'd')).toThrow(Refusal);
});

test('finalStatus() reads statuses that can end an exchange', () => {
  expect(finalStatus('200')).toBe(200);
  expect(finalStatus('999')).toBe(999);
  for (const text of ['100', '199', '1000', '20', '', '2x0']) expect(() => finalStatus(text)).toThrow(Refusal);
});
