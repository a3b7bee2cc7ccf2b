import { describe, expect, test } from 'vitest';
import {
  boolean,
  checkedElsewhere,
  functionOrNull,
  portOrNull,
  positiveInteger,
  type Rules,
  resolveOptions,
  secondsOrNull,
  signalOrNull,
  textOrNull,
} from '../src/options.js';

interface Options {
  readonly wait: number | null;
  readonly loud: boolean;
}
const RULES: Rules<Options> = { wait: secondsOrNull, loud: boolean };
const DEFAULTS: Options = Object.freeze({ wait: 5, loud: false });
const resolve = (given: unknown) => Reflect.apply(resolveOptions, undefined, ['a test', given, RULES, DEFAULTS]);

describe('resolveOptions()', () => {
  test.each([
    [undefined, { wait: 5, loud: false }],
    [{}, { wait: 5, loud: false }],
    [
      { wait: undefined, loud: true },
      { wait: 5, loud: true },
    ],
    [{ wait: null }, { wait: null, loud: false }],
    [Object.assign(Object.create(null), { wait: 1 }), { wait: 1, loud: false }],
  ])('takes %j over the defaults: undefined inherits, null is a value', (given, wanted) => {
    expect(resolve(given)).toEqual(wanted);
  });

  test('refuses a name that has no rule, and what is no object', () => {
    expect(() => resolve({ wiat: 1 })).toThrow(new TypeError('Cannot use option "wiat": a test has no such option'));
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(() => resolve(JSON.parse(`{"${name}": 1}`)), name).toThrow(TypeError);
    }
    for (const given of [null, 5, 'text', true]) expect(() => resolve(given)).toThrow(/must be an object/);
  });

  test('SEC-027: counts own properties only', () => {
    expect(resolve(Object.create({ wait: 1, wiat: 2 }))).toEqual(DEFAULTS);
  });
});

const signal = new AbortController().signal;
const callback = () => {};

test.each([
  { rule: boolean, good: [true, false], bad: [null, 0, 'true'], outOfRange: [] },
  { rule: secondsOrNull, good: [null, 0, 0.5, Number.POSITIVE_INFINITY], bad: ['1', Number.NaN, {}], outOfRange: [-1] },
  { rule: positiveInteger, good: [1, 2 ** 40], bad: [null, 1.5, '1', Number.NaN], outOfRange: [0, -3] },
  { rule: portOrNull, good: [null, 0, 65_535], bad: ['80', 1.5], outOfRange: [-1, 65_536] },
  { rule: textOrNull, good: [null, '', 'x'], bad: [1, Buffer.from('x'), []], outOfRange: [] },
  { rule: signalOrNull, good: [null, signal], bad: [{ aborted: false }, 'x'], outOfRange: [] },
  { rule: functionOrNull, good: [null, callback], bad: [{}, 'x'], outOfRange: [] },
  { rule: checkedElsewhere, good: [null, 5, callback], bad: [], outOfRange: [] },
])('$rule.name() takes $good, and names the option when it refuses', ({ rule, good, bad, outOfRange }) => {
  for (const value of good) expect(rule('thing', value)).toBe(value);
  for (const value of bad) {
    expect(() => rule('thing', value)).toThrow(TypeError);
    expect(() => rule('thing', value)).toThrow(/^Cannot use thing /);
  }
  for (const value of outOfRange) expect(() => rule('thing', value)).toThrow(RangeError);
});
